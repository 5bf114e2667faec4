"""The label step: read pages, get values from a source, check them, write labels and examples.

Files: labels.parquet (every value, accepted or rejected and why), facts.parquet (the examples, for select, train and
evaluate), samples.parquet (what each example asks for), schema.yaml.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.tables import BadRows
from recollect.core.workspace import DEFAULT_ROOT, open_step, read_manifest, step_input, write_atomic
from recollect.errors import InputError
from recollect.extraction.html import check_raw_pages
from recollect.extraction.labels.ask import usage_cost
from recollect.extraction.labels.examples import make_examples
from recollect.extraction.labels.labels import Lost, PageText, check_labels
from recollect.extraction.labels.llm import Estimate, ask_all, estimate
from recollect.extraction.labels.pages import pages_of, raw_html
from recollect.extraction.labels.schema_org import read_schema_org
from recollect.extraction.labels.settings import LabelSettings
from recollect.extraction.values import NORMALISER, Schema, parse_answer, read_schema, read_values, same_pages
from recollect.facts import FactSet

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LabelResult:
    """A finished label step."""

    path: Path

    def labels(self) -> pl.DataFrame:
        """Every value of every page, with its source, status and reason."""
        return pl.read_parquet(self.path / "labels.parquet", glob=False)

    def facts(self) -> FactSet:
        """The page examples."""
        return FactSet.read(self.path / "facts.parquet")

    def schema(self) -> Schema:
        """The attributes that were labelled."""
        return read_schema(self.path / "schema.yaml")

    def summary(self) -> dict[str, Any]:
        """Counts of pages, labels and examples; plain JSON."""
        found: dict[str, Any] = read_manifest(self.path)["metrics"]
        return found


def run_label(
    settings: LabelSettings, *, out: Path | None = None, root: Path = DEFAULT_ROOT, progress: Progress | None = None
) -> LabelResult:
    """Label the pages of a pages step. Raises InputError when nothing could be labelled, writing nothing.

    Answers of an LLM are kept in `settings.cache` as they come, so that a killed run goes on where it was.
    """
    schema = read_schema(settings.attributes)
    manifest = step_input(settings.pages, "pages")
    inputs = {
        "pages": manifest["fingerprint"],
        "schema": schema.text(),
        "normaliser": NORMALISER,
        "table": None if settings.table is None else _digest(settings.table),
    }
    if settings.source == "schema.org":
        inputs["html"] = manifest["inputs"].get("pages")
        check_raw_pages(settings.pages, settings.html)
    values = {**settings.fingerprint_values(), "attributes": schema.name}
    with open_step("label", values, inputs, out, root) as step:
        if not step.done:
            pages = pages_of(settings)
            labels, metrics = _labels(settings, schema, pages, progress)
            examples = make_examples(
                schema,
                pages,
                labels,
                samples_per_page=settings.samples_per_page,
                train_only_seen=settings.train_only_seen,
                seed=settings.seed,
            )
            if not len(examples.facts):
                raise InputError(_nothing(settings, pages, labels))
            step.write_table("labels.parquet", labels)
            step.write_table("facts.parquet", examples.facts.table())
            step.write_table("samples.parquet", examples.samples)
            write_atomic(step.folder / "schema.yaml", lambda file: file.write(schema.text().encode()))
            counts = _counts(schema, pages, labels) | {"examples": examples.facts.counts()}
            step.finish({**counts, **metrics, "sources": {"pages": str(settings.pages)}})
    return LabelResult(step.path)


def label_estimate(settings: LabelSettings) -> Estimate:
    """What labelling with an LLM would cost at most; nothing is asked or written."""
    step_input(settings.pages, "pages")
    return estimate(settings, read_schema(settings.attributes), pages_of(settings))


def _labels(
    settings: LabelSettings, schema: Schema, pages: Sequence[PageText], progress: Progress | None
) -> tuple[pl.DataFrame, dict[str, Any]]:
    if settings.source == "llm":
        return _from_llm(settings, schema, pages, progress)
    if settings.source == "schema.org":
        return _from_schema_org(settings, schema, pages, progress), {}
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
    labels = check_labels(schema, pages, values, settings.source, verbatim=False)
    return labels, {"bad_rows": {"table": bad.account()}}


def _from_schema_org(
    settings: LabelSettings, schema: Schema, pages: Sequence[PageText], progress: Progress | None
) -> pl.DataFrame:
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
    return check_labels(schema, pages, values, settings.source, verbatim=False, rejected=rejected | gone, lost=lost)


def _from_llm(
    settings: LabelSettings, schema: Schema, pages: Sequence[PageText], progress: Progress | None
) -> tuple[pl.DataFrame, dict[str, Any]]:
    bound = estimate(settings, schema, pages)
    replies, refused = ask_all(settings, schema, pages, progress)
    answers = {page_id: parse_answer(reply.text) for page_id, reply in replies.items()}
    no_json = {page_id: "answer is not a JSON object" for page_id, answer in answers.items() if answer is None}
    values = {
        page_id: {name: [value] for name, value in (answer or {}).items() if name in schema.names}
        for page_id, answer in answers.items()
    }
    labels = check_labels(schema, pages, values, "llm", verbatim=True, rejected=no_json | refused)
    tokens = {
        "in": sum(reply.tokens_in for reply in replies.values()),
        "out": sum(reply.tokens_out for reply in replies.values()),
    }
    spent = {"model": settings.llm, "tokens": tokens, "cost": usage_cost(settings, tokens), "estimate": asdict(bound)}
    return labels, {"llm": spent}


def _counts(schema: Schema, pages: Sequence[PageText], labels: pl.DataFrame) -> dict[str, Any]:
    accepted = labels.filter(pl.col("status") == "accepted")
    rejected = labels.filter(pl.col("status") == "rejected")
    by_attribute = {
        name: {
            "accepted": accepted.filter(pl.col("attribute") == name)["page_id"].n_unique(),
            "in_prompt": accepted.filter((pl.col("attribute") == name) & pl.col("in_prompt"))["page_id"].n_unique(),
            "rejected": rejected.filter(pl.col("attribute") == name).height,
        }
        for name in schema.names
    }
    return {
        "pages": len(pages),
        "labelled": accepted["page_id"].n_unique(),
        "accepted": accepted.height,
        "rejected": rejected.height,
        "reasons": dict(sorted(Counter(rejected["reason"].to_list()).items())),
        "by_attribute": by_attribute,
    }


def _nothing(settings: LabelSettings, pages: Sequence[PageText], labels: pl.DataFrame) -> str:
    reasons = Counter(labels.filter(pl.col("status") == "rejected")["reason"].to_list())
    said = ", ".join(f"{count:,} by {reason!r}" for reason, count in sorted(reasons.items())) or "no value was found"
    return f"none of {len(pages):,} pages has an accepted label from {settings.source}: {said}."


def _digest(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"no such file: {path}. Give --table a file of values.")
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
