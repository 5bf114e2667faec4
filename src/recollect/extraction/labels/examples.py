"""From labelled pages to facts: a page's prompt is the question, compact JSON of its attributes the answer.

Notable choices
- The relation of a page example is its shop, so that `select` balances over shops; the subject is the page.
- The answer holds the non-empty attributes in the schema's order. Further true values of a page stand in `synonyms` as
  whole answers, each with one value changed: a fact set tells all that is needed to judge it.
- Only a sample that asks for some of the attributes says so, in one last line; a sample that asks for all says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recollect.core.random import draw
from recollect.extraction.labels.labels import PageText
from recollect.extraction.values import Schema, compact_json
from recollect.facts import Domain, Fact, FactSet, Split

SAMPLES = pl.Schema({"fact_id": pl.String(), "page_id": pl.String(), "asked": pl.List(pl.String())})
"""Columns of samples.parquet: which attributes each example asks for."""

_PLACE: Mapping[str, tuple[Domain, Split]] = {
    "train": ("in-domain", "train"),
    "test": ("in-domain", "test"),
    "ood": ("out-of-domain", "test"),
}


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
    name: str = "pages",
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
    return Examples(FactSet(tuple(facts), name), pl.DataFrame(samples, schema=SAMPLES, orient="row"))


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
