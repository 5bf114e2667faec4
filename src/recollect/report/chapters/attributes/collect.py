"""From finished evaluations of pages (and scored predictions) to the report's chapter on attributes.

Notable choices
- Everything is read from the steps' own files: manifest, values.parquet, outputs.parquet, schema.yaml.
- Baselines: the most frequent value of the training pages, and whatever was scored by `recollect score`, such as
  schema.org extraction alone.
- Pages to read are chosen by rule, not by taste: of each part the best, the worst and the middle one of the last model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recollect.core.workspace import read_manifest
from recollect.core.workspace.experiment import ExperimentFound
from recollect.errors import InputError
from recollect.evaluate import EvaluateFound
from recollect.extraction import need_pages
from recollect.extraction.values import PageScores, Schema, ScoreFound, equal, find, parse_answer, read_schema, score
from recollect.facts import load_facts
from recollect.report.chapters.attributes.record import (
    AttributeRun,
    Attributes,
    AttributeScore,
    AttributeSystem,
    PageExample,
    PagePart,
    PageSpan,
    PageValue,
    SpanKind,
    SystemKind,
)
from recollect.report.page.chapter import Source
from recollect.report.scores.steps import is_about_pages

SCORES, VALUES, OUTPUTS, SCHEMA = "scores.json", "values.parquet", "outputs.parquet", "schema.yaml"
MOST_PROMPT = 8_000  # characters of a page that are kept
PAGE_PARTS: tuple[PagePart, ...] = ("test", "ood")
_TRAINED = re.compile(r"evaluate-(?:random-)?(\d+)-seed(-?\d+)")


@dataclass(frozen=True)
class AskedPages:
    """A finished evaluate or score step about pages, and what it is called."""

    folder: Path
    name: str
    kind: SystemKind = "model"
    size: int | None = None
    seed: int | None = None


def collect(source: Source) -> Attributes | None:
    """Of a curve or a study on pages; None of anything else."""
    steps = source.path / "steps"
    if not (source.step == "curve" and steps.is_dir()) and not (source.step == "study" and is_about_pages(source)):
        return None
    asked = [AskedPages(steps / "base", "untouched base", "base")]
    places = sorted(
        (int(m[1]), int(m[2]), m[0]) for folder in steps.iterdir() if (m := _TRAINED.fullmatch(folder.name))
    )
    asked += [AskedPages(steps / name, f"{size:,} examples", "tuned", size, seed) for size, seed, name in places]
    return collect_attributes(asked, taught(source.path))


def taught(experiment: Path) -> list[str]:
    """The answers of the training pages: of the whole fact set where it is still there, else of those trained on."""
    try:
        facts = load_facts(ExperimentFound.read(experiment).sources["facts"])
        if facts.fingerprint() == read_manifest(experiment).inputs["facts"]:
            return [fact.object for fact in facts if fact.part == "train"]
    except InputError:
        pass
    tables = [pl.read_parquet(file, glob=False) for file in sorted(experiment.glob("steps/select-*/selection.parquet"))]
    return pl.concat(tables).unique("fact_id", maintain_order=True)["object"].to_list() if tables else []


def has_page_scores(folder: Path) -> bool:
    """Whether this is a step that scored values by attribute."""
    return (folder / SCORES).is_file() and (folder / VALUES).is_file()


def collect_attributes(asked: Sequence[AskedPages], taught: Iterable[str] = ()) -> Attributes | None:
    """The chapter's results; None when nothing was asked about pages.

    `taught` are the answers of the training pages (JSON), from which the most frequent values are taken.
    """
    asked = [one for one in asked if has_page_scores(one.folder)]
    if not asked:
        return None
    need_pages("the report's chapter on attributes")
    stored = asked[-1].folder / SCHEMA
    schema = read_schema(stored if stored.is_file() else "product")
    readable = [one for one in asked if (one.folder / OUTPUTS).is_file()]
    places = _places(readable[0].folder) if readable else {}
    systems: dict[str, AttributeSystem] = {}
    for one in asked:
        before = systems.get(one.name) or AttributeSystem(name=one.name, kind=one.kind, size=one.size)
        found = _scores(schema, one, places)
        systems[one.name] = before.model_copy(
            update={part: [*getattr(before, part), *_run(found.get(part), one.seed)] for part in PAGE_PARTS}
        )
    frequent = _most_frequent(taught)
    if frequent:
        systems = {"": _baseline(schema, pl.read_parquet(asked[0].folder / VALUES, glob=False), frequent)} | systems
    names = [name for name in schema.names if any(name in run.by_attribute for run in _runs(systems.values()))]
    if not names:
        return None
    order = {"baseline": 0, "base": 1, "model": 2, "tuned": 3}
    return Attributes(
        names=names,
        systems=sorted(systems.values(), key=lambda system: (order[system.kind], system.size or 0)),
        examples=_examples(schema, _one_seed(readable)) if readable else [],
    )


def _runs(systems: Iterable[AttributeSystem]) -> list[AttributeRun]:
    return [run for system in systems for run in (*system.test, *system.ood)]


def _places(folder: Path) -> dict[str, str]:
    """The part of each page that was asked about."""
    values = pl.read_parquet(folder / VALUES, columns=["unit", "part"], glob=False)
    return dict(zip(values["unit"].to_list(), values["part"].to_list(), strict=True))


def _scores(schema: Schema, one: AskedPages, places: Mapping[str, str]) -> Mapping[PagePart, PageScores]:
    """The scores by part; those of a score step on the pages that the models were asked about, where there are such."""
    if (one.folder / OUTPUTS).is_file():
        asked = EvaluateFound.read(one.folder).pages
        return {part: asked.parts[part] for part in PAGE_PARTS if part in asked.parts} if asked else {}
    if not places:
        return {"test": ScoreFound.read(one.folder)}
    values = pl.read_parquet(one.folder / VALUES, glob=False).with_columns(
        pl.col("unit").replace_strict(places, default=None, return_dtype=pl.String).alias("part")
    )
    return {part: score(values.filter(part=part), schema) for part in PAGE_PARTS}


def _run(found: PageScores | None, seed: int | None) -> list[AttributeRun]:
    """The scores of one part as the report stores them; nothing where the part has no true value."""
    if not found or not found.n:
        return []
    return [
        AttributeRun(
            seed=seed,
            macro=found.macro,
            by_attribute={name: AttributeScore(**dict(one)) for name, one in found.by_attribute.items()},
            invalid=found.invalid,
            pages=found.pages,
        )
    ]


def _most_frequent(taught: Iterable[str]) -> dict[str, str]:
    """The commonest value of each attribute among the training pages; of equals, the first one met."""
    seen: dict[str, Counter[str]] = {}
    for text in taught:
        for name, value in (parse_answer(text) or {}).items():
            seen.setdefault(name, Counter())[value] += 1
    return {name: counts.most_common(1)[0][0] for name, counts in seen.items()}


def _baseline(schema: Schema, values: pl.DataFrame, frequent: Mapping[str, str]) -> AttributeSystem:
    """Always the most frequent value, judged on the same pages."""
    given, right = [], []
    for row in values.iter_rows(named=True):
        guess = frequent.get(row["group"])
        attribute = schema.attribute(row["group"])
        given.append(guess)
        right.append(guess is not None and any(equal(attribute, truth, guess) for truth in row["truth"]))
    guessed = values.with_columns(
        pl.Series("given", given, dtype=pl.String), pl.Series("right", right, dtype=pl.Boolean)
    )
    parts = {part: _run(score(guessed.filter(part=part), schema), None) for part in PAGE_PARTS}
    return AttributeSystem(name="most frequent value", kind="baseline", **parts)


def _one_seed(asked: Sequence[AskedPages]) -> list[AskedPages]:
    """The first run of each name, in the order given."""
    return list({one.name: one for one in reversed(asked)}.values())[::-1]


def _examples(schema: Schema, asked: Sequence[AskedPages]) -> list[PageExample]:
    tables = [pl.read_parquet(one.folder / VALUES, glob=False) for one in asked]
    prompts = {
        row["fact_id"]: row["question"]
        for row in pl.read_parquet(asked[-1].folder / OUTPUTS, columns=["fact_id", "question"], glob=False).iter_rows(
            named=True
        )
    }
    return [
        _example(schema, [one.name for one in asked], tables, prompts[fact_id], fact_id, part)
        for part in PAGE_PARTS
        for fact_id in _chosen(tables[-1].filter(part=part))
    ]


def _fact_id() -> pl.Expr:
    """The id of the answer that a row of values.parquet is about."""
    return pl.col("item").str.replace(r":[^:]*$", "")


def _chosen(values: pl.DataFrame) -> list[str]:
    """The best, the middle and the worst answer, by the share of true values that are right."""
    shares = (
        values.filter(pl.col("truth").list.len() > 0)
        .group_by(_fact_id().alias("fact_id"), maintain_order=True)
        .agg(pl.col("right").mean(), pl.len())
        .sort("right", "len", descending=True, maintain_order=True)["fact_id"]
        .to_list()
    )
    return list(dict.fromkeys(shares[at] for at in (0, len(shares) // 2, len(shares) - 1))) if shares else []


def _example(
    schema: Schema, models: list[str], tables: Sequence[pl.DataFrame], prompt: str, fact_id: str, part: PagePart
) -> PageExample:
    rows = [
        {row["group"]: row for row in table.filter(_fact_id() == fact_id).iter_rows(named=True)} for table in tables
    ]
    values: list[PageValue] = []
    spans: list[PageSpan] = []
    page = fact_id
    for attribute in schema:
        last = rows[-1].get(attribute.name)
        if last is None:
            continue
        page = last["unit"]
        told = [found.get(attribute.name, {"given": None, "right": False}) for found in rows]
        values.append(
            PageValue(
                attribute=attribute.name,
                truth=last["truth"],
                given=[one["given"] for one in told],
                right=[one["right"] for one in told],
            )
        )
        for truth in last["truth"][:1]:
            spans += _span(attribute.name, "found" if last["right"] else "missed", find(attribute, truth, prompt))
        if last["given"] is not None and not last["right"]:
            spans += _span(attribute.name, "taken", find(attribute, last["given"], prompt))
    return PageExample(
        page=page,
        part=part,
        prompt=prompt[:MOST_PROMPT],
        left_out=max(0, len(prompt) - MOST_PROMPT),
        models=models,
        values=values,
        spans=[span for span in spans if span.end <= MOST_PROMPT],
    )


def _span(attribute: str, kind: SpanKind, place: tuple[int, int] | None) -> list[PageSpan]:
    return [] if place is None else [PageSpan(attribute=attribute, kind=kind, start=place[0], end=place[1])]
