"""Pages to label, labels with whether they are accepted and why not, and the examples made of them.

Notable choices
- An example is a fact: a page's prompt is the question, compact JSON of its attributes the answer. Its relation is the
  page's shop, so that `select` balances over shops; the subject is the page.
- The answer holds the non-empty attributes in the schema's order. Further true values of a page are in `synonyms` as
  whole answers, each with one value changed: a fact set tells all that is needed to judge it.
- Only a sample that asks for some of the attributes says so, in one last line; a sample that asks for all says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recollect.core.random import draw, take
from recollect.errors import InputError
from recollect.extraction.html import raw_pages
from recollect.extraction.labels.settings import LabelSettings
from recollect.extraction.values import Schema, compact_json, is_placeholder, occurs, readings
from recollect.facts import Domain, Fact, FactSet, Split

LABELS = pl.Schema(
    {
        "page_id": pl.String(),
        "attribute": pl.String(),
        "value": pl.String(),
        "source": pl.String(),
        "status": pl.String(),
        "reason": pl.String(),
        "in_prompt": pl.Boolean(),
    }
)
"""Columns of labels.parquet; attribute and value are null where a whole answer was rejected."""
SAMPLES = pl.Schema({"fact_id": pl.String(), "page_id": pl.String(), "asked": pl.List(pl.String())})
"""Columns of samples.parquet: which attributes each example asks for."""

_PLACE: Mapping[str, tuple[Domain, Split]] = {
    "train": ("in-domain", "train"),
    "test": ("in-domain", "test"),
    "ood": ("out-of-domain", "test"),
}
_COLUMNS = ("page_id", "host", "part", "prompt")


@dataclass(frozen=True)
class Lost:
    """A label that a source could not give, and why."""

    reason: str
    attribute: str | None = None
    """None where it is the whole page's."""
    value: str | None = None


@dataclass(frozen=True)
class PageText:
    """A page to label: what a model sees of it, and where it belongs."""

    page_id: str
    host: str
    part: str
    prompt: str


def pages_of(settings: LabelSettings) -> list[PageText]:
    """The pages of the step that have a prompt, in its order, at most `limit` of each part. Raises InputError."""
    table = pl.read_parquet(settings.pages / "pages.parquet", glob=False)
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{settings.pages}/pages.parquet lacks the columns {', '.join(missing)}.")
    table = table.filter(pl.col("prompt").is_not_null() & (pl.col("prompt") != ""))
    odd = set(table["part"]) - set(_PLACE)
    if odd:
        raise InputError(
            f"{settings.pages}/pages.parquet: part must be train, test or ood, but got {sorted(map(str, odd))}."
        )
    pages = [
        PageText(row["page_id"], row["host"] or "", row["part"], row["prompt"]) for row in table.iter_rows(named=True)
    ]
    if not pages:
        raise InputError(f"{settings.pages} has no page with a prompt.")
    parts = ([page for page in pages if page.part == part] for part in _PLACE)
    drawn = (take(of_part, settings.limit, settings.seed, "label", lambda page: page.page_id) for of_part in parts)
    kept = {page.page_id for of_part in drawn for page in of_part}
    return [page for page in pages if page.page_id in kept]


def raw_html(settings: LabelSettings, wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    """Page id and decoded HTML of the wanted pages, unreadable ones left out. Raises InputError when all are gone."""
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


def check_labels(
    schema: Schema,
    pages: Iterable[PageText],
    values: Mapping[str, Mapping[str, Sequence[str]]],
    source: str,
    *,
    verbatim: bool,
    rejected: Mapping[str, str] | None = None,
    lost: Mapping[str, Sequence[Lost]] | None = None,
) -> pl.DataFrame:
    """One row per value, in the order of pages and schema; columns as in `LABELS`.

    A value is rejected when its normaliser cannot read it and, with `verbatim`, when it does not occur in the page's
    prompt. `rejected` names pages whose whole answer was refused, with the reason; `lost` holds what a source had to
    leave out, by page.
    """
    rows: list[tuple[str, str | None, str | None, str, str, str, bool | None]] = []
    for page in pages:
        if rejected and page.page_id in rejected:
            rows.append((page.page_id, None, None, source, "rejected", rejected[page.page_id], None))
        for one in (lost or {}).get(page.page_id, ()):
            rows.append((page.page_id, one.attribute, one.value, source, "rejected", one.reason, None))
        for attribute in schema:
            for value in values.get(page.page_id, {}).get(attribute.name, ()):
                seen = occurs(attribute, value, page.prompt)
                if is_placeholder(value):
                    reason = "a placeholder"
                elif not readings(attribute, value):
                    reason = f"not a value of type {attribute.type}"
                elif verbatim and not seen:
                    reason = "does not occur in the page"
                else:
                    reason = ""
                status = "rejected" if reason else "accepted"
                rows.append((page.page_id, attribute.name, value, source, status, reason, seen))
    return pl.DataFrame(rows, schema=LABELS, orient="row")


# -- examples ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Examples:
    """The page examples, and what each asks for."""

    facts: FactSet
    samples: pl.DataFrame


def make_examples(
    schema: Schema,
    pages: Iterable[PageText],
    labels: pl.DataFrame,
    *,
    samples_per_page: int = 1,
    train_only_seen: bool = True,
    seed: int = 0,
) -> Examples:
    """The examples of every page that has an accepted label, in the order of the pages."""
    truths = _accepted(labels, only_seen=False)
    taught = _accepted(labels, only_seen=True) if train_only_seen else truths
    facts, samples = [], []
    for page in pages:
        if page.page_id not in truths:
            continue
        values = taught.get(page.page_id, {}) if page.part == "train" else truths[page.page_id]
        for asked in deal(schema, page.page_id, samples_per_page, seed):
            fact = _fact(schema, page, values, asked)
            facts.append(fact)
            samples.append((fact.id, page.page_id, list(asked)))
    return Examples(FactSet(tuple(facts), "pages"), pl.DataFrame(samples, schema=SAMPLES, orient="row"))


def deal(schema: Schema, page_id: str, samples: int, seed: int) -> list[tuple[str, ...]]:
    """The attributes of each of a page's samples: all, or dealt in turn in an order drawn by (seed, page)."""
    order = sorted(schema.names, key=lambda name: draw(seed, "label", page_id, name))
    hands = [set(order[at :: min(samples, len(order))]) for at in range(min(samples, len(order)))]
    return [tuple(name for name in schema.names if name in hand) for hand in hands]


def question(prompt: str, schema: Schema, asked: Sequence[str]) -> str:
    """What the model is shown: the page, and the attributes wanted where these are not all."""
    return prompt if tuple(asked) == schema.names else f"{prompt}\nwanted: {', '.join(asked)}"


def _fact(schema: Schema, page: PageText, values: Mapping[str, Sequence[str]], asked: Sequence[str]) -> Fact:
    answer = {name: values[name][0] for name in asked if values.get(name)}
    others = tuple(compact_json({**answer, name: other}) for name in asked for other in values.get(name, ())[1:])
    domain, split = _PLACE[page.part]
    return Fact(
        relation=page.host or "pages",
        subject=page.page_id,
        object=compact_json(answer),
        question=question(page.prompt, schema, asked),
        synonyms=others,
        domain=domain,
        split=split,
    )


def _accepted(labels: pl.DataFrame, *, only_seen: bool) -> dict[str, dict[str, list[str]]]:
    kept = labels.filter(pl.col("status") == "accepted")
    if only_seen:
        kept = kept.filter(pl.col("in_prompt"))
    found: dict[str, dict[str, list[str]]] = {}
    for row in kept.iter_rows(named=True):
        values = found.setdefault(row["page_id"], {}).setdefault(row["attribute"], [])
        if row["value"] not in values:
            values.append(row["value"])
    return found
