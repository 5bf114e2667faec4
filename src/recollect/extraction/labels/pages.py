"""The pages to label: the rows of a pages step, and the raw HTML they came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import polars as pl

from recollect.core.random import take
from recollect.errors import InputError
from recollect.extraction.labels.labels import PageText
from recollect.extraction.labels.settings import LabelSettings

_COLUMNS = ("page_id", "host", "part", "prompt")
_PARTS = ("train", "test", "ood")


def pages_of(settings: LabelSettings) -> list[PageText]:
    """The pages of the step that have a prompt, in its order, at most `limit` of each part. Raises InputError."""
    table = pl.read_parquet(settings.pages / "pages.parquet", glob=False)
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{settings.pages}/pages.parquet lacks the columns {', '.join(missing)}.")
    table = table.filter(pl.col("prompt").is_not_null() & (pl.col("prompt") != ""))
    odd = set(table["part"]) - set(_PARTS)
    if odd:
        raise InputError(
            f"{settings.pages}/pages.parquet: part must be train, test or ood, but got {sorted(map(str, odd))}."
        )
    pages = [
        PageText(row["page_id"], row["host"] or "", row["part"], row["prompt"]) for row in table.iter_rows(named=True)
    ]
    if not pages:
        raise InputError(f"{settings.pages} has no page with a prompt.")
    parts = ([page for page in pages if page.part == part] for part in _PARTS)
    drawn = (take(of_part, settings.limit, settings.seed, "label", lambda page: page.page_id) for of_part in parts)
    kept = {page.page_id for of_part in drawn for page in of_part}
    return [page for page in pages if page.page_id in kept]


def raw_html(settings: LabelSettings, wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    """Page id and decoded HTML of the wanted pages, unreadable ones left out. Raises InputError when all are gone."""
    from recollect.extraction.html import raw_pages

    found = False
    for page_id, html in raw_pages(settings.pages, settings.html):
        if page_id in wanted:
            found = True
            yield page_id, html
    if not found:
        raise InputError(
            f"the raw pages of {settings.pages} cannot be read, or have other names now. Give --html, the folder they "
            "were read from."
        )
