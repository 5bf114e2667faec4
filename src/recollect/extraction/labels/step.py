"""The label step: read pages, get values from a source, check them, write labels and examples.

Files: labels.parquet (every value, accepted or rejected and why), facts.parquet (the examples, for select, train and
evaluate), samples.parquet (what each example asks for), schema.yaml.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recollect.core.llm import Progress, usage_cost
from recollect.core.tables import BadRows, BadRowsFound
from recollect.core.workspace import DEFAULT_ROOT, open_step, step_input, write_atomic
from recollect.core.workspace.files import digest_of
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.extraction import need_pages
from recollect.extraction.html import check_raw_pages
from recollect.extraction.labels.labels import Lost, PageText, check_labels, make_examples, pages_of, raw_html
from recollect.extraction.labels.llm import CostBound, inquiry
from recollect.extraction.labels.schema_org import read_schema_org
from recollect.extraction.labels.settings import LabelSettings
from recollect.extraction.values import NORMALISER, Schema, parse_answer, read_schema, read_values, same_pages
from recollect.facts import FactSet


class AttributeLabels(Result):
    """Labels of one attribute."""

    accepted: int
    """Pages that have one."""
    in_prompt: int
    """Pages that have one which their prompt shows."""
    rejected: int


class Spent(Result):
    """What an LLM was asked and what that cost, answers in the cache included."""

    model: str
    tokens: dict[str, int]
    """ "in" and "out"."""
    cost: float
    estimate: CostBound
    """The bound before anything was asked."""


class LabelFound(Result):
    """How many pages were labelled, and with what."""

    pages: int
    labelled: int
    """Pages with an accepted label."""
    accepted: int
    rejected: int
    reasons: dict[str, int]
    """Rejected labels by the reason."""
    by_attribute: dict[str, AttributeLabels]
    examples: dict[str, int]
    """Examples by part."""
    bad_rows: dict[str, BadRowsFound] = {}
    """Rows of a table that were left out."""
    llm: Spent | None = None
    sources: dict[str, str] = {}


@dataclass(frozen=True)
class LabelResult:
    """A finished label step."""

    path: Path
    found: LabelFound

    def labels(self) -> pl.DataFrame:
        """Every value of every page, with its source, status and reason."""
        return pl.read_parquet(self.path / "labels.parquet", glob=False)

    def facts(self) -> FactSet:
        """The page examples."""
        return FactSet.read(self.path / "facts.parquet")

    def schema(self) -> Schema:
        """The attributes that were labelled."""
        return read_schema(self.path / "schema.yaml")


@dataclass(frozen=True)
class _Labelled:
    """What a source gave."""

    labels: pl.DataFrame
    bad_rows: BadRows | None = None
    spent: Spent | None = None


def run_label(
    settings: LabelSettings, *, out: Path | None = None, root: Path = DEFAULT_ROOT, progress: Progress | None = None
) -> LabelResult:
    """Label the pages of a pages step. Raises InputError when nothing could be labelled, writing nothing.

    Answers of an LLM are kept in `settings.cache` as they come, so that a killed run resumes where it was.

    Examples:
        `pages` is the folder of a `run_pages`.

        >>> from recollect import LabelSettings, run_label
        >>> result = run_label(LabelSettings.make(pages=str(pages), source="schema.org"))
        >>> result.found.labelled, result.found.by_attribute["price"].accepted
        (3, 3)
    """
    need_pages("recollect label")
    schema = read_schema(settings.attributes)
    manifest = step_input(settings.pages, "pages")
    inputs = {
        "pages": manifest.fingerprint,
        "schema": schema.text(),
        "normaliser": NORMALISER,
        "table": None if settings.table is None else _digest(settings.table),
    }
    if settings.source == "schema.org":
        inputs["html"] = manifest.inputs.get("pages")
        check_raw_pages(settings.pages, settings.html)
    values = {**settings.fingerprint_values(), "attributes": schema.name}
    with open_step("label", values, inputs, out, root) as step:
        if not step.done:
            pages = pages_of(settings)
            labelled = _SOURCES[settings.source](settings, schema, pages, progress)
            examples = make_examples(
                schema,
                pages,
                labelled.labels,
                samples_per_page=settings.samples_per_page,
                train_only_seen=settings.train_only_seen,
                seed=settings.seed,
            )
            if not len(examples.facts):
                raise InputError(_nothing(settings, pages, labelled.labels))
            step.write_table("labels.parquet", labelled.labels)
            step.write_table("facts.parquet", examples.facts.table())
            step.write_table("samples.parquet", examples.samples)
            write_atomic(step.folder / "schema.yaml", lambda file: file.write(schema.text().encode()))
            step.finish(_found(settings, schema, pages, labelled, examples.facts))
    return LabelResult(step.path, LabelFound.read(step.path))


def label_estimate(settings: LabelSettings) -> CostBound:
    """What labelling with an LLM would cost at most; nothing is asked or written."""
    step_input(settings.pages, "pages")
    return CostBound.of(inquiry(settings, read_schema(settings.attributes), pages_of(settings)).bound())


def _from_table(
    settings: LabelSettings, schema: Schema, pages: Sequence[PageText], progress: Progress | None
) -> _Labelled:
    assert settings.table is not None
    bad = BadRows(settings.bad_rows)
    given = read_values(settings.table, schema, bad)
    named = same_pages([page.page_id for page in pages], given)
    if not named:
        raise InputError(
            f"{settings.table} has values of {len(given):,} pages, but of none in {settings.pages}. Its page ids "
            f"must be those of pages.parquet, such as {pages[0].page_id!r}."
        )
    values = {page: given[name] for page, name in named.items()}
    return _Labelled(check_labels(schema, pages, values, settings.source, verbatim=False), bad_rows=bad)


def _from_schema_org(
    settings: LabelSettings, schema: Schema, pages: Sequence[PageText], progress: Progress | None
) -> _Labelled:
    wanted = {page.page_id for page in pages}
    values: dict[str, dict[str, list[str]]] = {}
    rejected: dict[str, str] = {}
    lost: dict[str, Sequence[Lost]] = {}
    for page_id, html in raw_html(settings, wanted):
        try:
            found = read_schema_org(html, schema)
            values[page_id] = {name: [value] for name, value in found.values.items()}
            lost[page_id] = found.lost
        except InputError as error:
            rejected[page_id] = str(error).rstrip(".")
        if progress:
            progress(len(values) + len(rejected), len(wanted))
    gone = dict.fromkeys(wanted - values.keys() - rejected.keys(), "the raw page is gone or cannot be read")
    return _Labelled(
        check_labels(schema, pages, values, settings.source, verbatim=False, rejected=rejected | gone, lost=lost)
    )


def _from_llm(
    settings: LabelSettings, schema: Schema, pages: Sequence[PageText], progress: Progress | None
) -> _Labelled:
    replies = inquiry(settings, schema, pages).ask(progress)
    answers = {page_id: parse_answer(reply.text) for page_id, reply in replies.answered.items()}
    no_json = {page_id: "answer is not a JSON object" for page_id, answer in answers.items() if answer is None}
    values = {
        page_id: {name: [value] for name, value in (answer or {}).items() if name in schema.names}
        for page_id, answer in answers.items()
    }
    labels = check_labels(schema, pages, values, "llm", verbatim=True, rejected=no_json | replies.refused)
    tokens_in = sum(reply.tokens_in for reply in replies.answered.values())
    tokens_out = sum(reply.tokens_out for reply in replies.answered.values())
    cost = usage_cost(settings, tokens_in, tokens_out)
    spent = Spent(
        model=settings.llm, tokens={"in": tokens_in, "out": tokens_out}, cost=cost, estimate=CostBound.of(replies.bound)
    )
    return _Labelled(labels, spent=spent)


_SOURCES = {"schema.org": _from_schema_org, "table": _from_table, "llm": _from_llm}


def _found(
    settings: LabelSettings, schema: Schema, pages: Sequence[PageText], labelled: _Labelled, examples: FactSet
) -> LabelFound:
    accepted, rejected = (labelled.labels.filter(status=status) for status in ("accepted", "rejected"))
    bad = labelled.bad_rows
    return LabelFound(
        pages=len(pages),
        labelled=accepted["page_id"].n_unique(),
        accepted=accepted.height,
        rejected=rejected.height,
        reasons=dict(sorted(Counter(rejected["reason"].to_list()).items())),
        by_attribute={
            name: AttributeLabels(
                accepted=accepted.filter(attribute=name)["page_id"].n_unique(),
                in_prompt=accepted.filter(attribute=name, in_prompt=True)["page_id"].n_unique(),
                rejected=rejected.filter(attribute=name).height,
            )
            for name in schema.names
        },
        examples=examples.counts(),
        bad_rows={} if bad is None else {"table": bad.account()},
        llm=labelled.spent,
        sources={"pages": str(settings.pages)},
    )


def _nothing(settings: LabelSettings, pages: Sequence[PageText], labels: pl.DataFrame) -> str:
    reasons = Counter(labels.filter(status="rejected")["reason"].to_list())
    said = ", ".join(f"{count:,} by {reason!r}" for reason, count in sorted(reasons.items())) or "no value was found"
    return f"none of {len(pages):,} pages has an accepted label from {settings.source}: {said}."


def _digest(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"no such file: {path}. Give --table a file of values.")
    return digest_of(path)
