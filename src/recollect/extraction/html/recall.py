"""Does the true value survive into the prompt? The share of pages where it does is the ceiling of any model.

A page counts for an attribute when the truth has a value for it; any listed value is enough. Whether a value occurs in
a text is `recollect.extraction.values.occurs`: written forms of a price, wordings of an availability. It cannot tell
the right "10" from another one, so every share is an upper bound. The same test on the raw HTML is the ceiling of any
prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.estimates import Estimate, proportion
from recollect.core.tables import CellError, cell_text, check_value, decode, load_json, read_bytes
from recollect.errors import InputError
from recollect.extraction.values import Schema, occurs

RAW, ALL = "raw", "all"  # places besides the budgets: the HTML as it came, and every line of the page
FOUND = {"page_id": pl.String, "attribute": pl.String, "place": pl.String, "found": pl.Boolean}
Truth = Mapping[str, Mapping[str, tuple[str, ...]]]


def read_truth(path: Path) -> tuple[Truth, dict[str, str]]:
    """True values and address by page id. Raises InputError for a file that is not of that form."""
    loaded = load_json(decode(read_bytes(path), str(path)), str(path))
    for where, part in [("the file", loaded)] if not isinstance(loaded, dict) else loaded.items():
        for value in (where, part):
            _, fault = check_value(value)
            if fault:
                raise InputError(f"{path}: {where!a:.100} holds {fault[1]}.")
    if not isinstance(loaded, dict) or not all(isinstance(values, dict) for values in loaded.values()):
        raise InputError(f"{path} must map page ids to attributes: {{page id: {{attribute: [values]}}}}.")
    truth, urls = {}, {}
    for page_id, values in loaded.items():
        url = values.get("url")
        urls[page_id] = url if isinstance(url, str) else ""
        try:
            truth[page_id] = {name: found for name, value in values.items() if (found := _texts(value))}
        except CellError as error:
            raise InputError(f"{path}: a value of {page_id!r} {error}.") from None
    return truth, urls


def survival(
    values: Mapping[str, Sequence[str]], schema: Schema, texts: Mapping[str, str]
) -> list[tuple[str, str, bool]]:
    """(attribute, place, found) for every attribute of the schema that has a true value; texts are by place."""
    return [
        (attribute.name, place, any(occurs(attribute, value, text) for value in values[attribute.name]))
        for attribute in schema
        if values.get(attribute.name)
        for place, text in texts.items()
    ]


def recall_table(found: pl.DataFrame, budgets: Sequence[int]) -> dict[str, dict[str, Estimate]]:
    """By attribute and place: the share of pages with its 95 % interval (Clopper-Pearson). A page is one trial."""
    table: dict[str, dict[str, Estimate]] = {}
    for attribute in found["attribute"].unique(maintain_order=True):
        table[attribute] = {}
        for place in (RAW, ALL, *map(str, budgets)):
            here = found.filter(attribute=attribute, place=place)["found"]
            table[attribute][place] = proportion(int(here.sum()), len(here))
    return table


def _texts(value: Any) -> tuple[str, ...]:
    """The values of one attribute as texts; empty for anything that is none."""
    values = value if isinstance(value, list) else [value]
    known = [item for item in values if isinstance(item, str | int | float | Decimal)]
    return tuple(text for item in known if (text := str(item) if isinstance(item, bool) else cell_text(item)))
