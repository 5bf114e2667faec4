"""The score step: anyone's values against the truth, by the same scorer as a model's answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from recollect.core.settings import Settings
from recollect.core.tables import BadRows, BadRowsMode
from recollect.core.workspace import DEFAULT_ROOT, check_stored, open_step, step_input, write_atomic, write_json
from recollect.errors import InputError
from recollect.extraction.values.normalisers import NORMALISER
from recollect.extraction.values.schema import Schema, read_schema
from recollect.extraction.values.scoring import PageAnswer, items, judge, score
from recollect.extraction.values.tables import Values, read_values, same_pages


class ScoreSettings(Settings):
    """Score predicted attribute values of pages against the true ones, by attribute."""

    runtime_only: ClassVar[set[str]] = {"predictions", "truth"}

    predictions: Path
    """A .json, .csv, .tsv, .jsonl or .parquet file of values by page id, or a label step directory."""
    truth: Path
    """The true values, in the same forms. Any of several true values counts."""
    attributes: str = "product"
    """The attributes scored: "product" (eight of them), or a YAML file with a schema."""
    bad_rows: BadRowsMode = "error"
    """What becomes of a row that cannot be used: error (the first one ends the step) or skip (left out and counted)."""
    seed: int = 0
    """Has no effect: scores are counts, and their intervals have a seed of their own."""


@dataclass(frozen=True)
class ScoreResult:
    """A finished score step."""

    path: Path

    def values(self) -> pl.DataFrame:
        """One row per page and attribute: true values, given value, verdict."""
        return pl.read_parquet(self.path / "values.parquet", glob=False)

    def items(self) -> pl.DataFrame:
        """One row per true value: item, unit = page, group = attribute, right, part."""
        return pl.read_parquet(self.path / "items.parquet", glob=False)

    def summary(self) -> dict[str, Any]:
        """The scores as one JSON object; percent."""
        found: dict[str, Any] = json.loads((self.path / "scores.json").read_text(encoding="utf-8"))
        return found


def run_score(settings: ScoreSettings, *, out: Path | None = None, root: Path = DEFAULT_ROOT) -> ScoreResult:
    """Score the predictions on the pages of the truth; a page without a prediction counts as empty.

    Raises InputError for files that cannot be read, and when no page stands in both.
    """
    schema = read_schema(settings.attributes)
    sources = {name: getattr(settings, name) for name in ("truth", "predictions")}
    inputs = {
        "schema": schema.text(),
        "normaliser": NORMALISER,
        **{name: _digest(path) for name, path in sources.items()},
    }
    with open_step("score", {**settings.fingerprint_values(), "attributes": schema.name}, inputs, out, root) as step:
        if not step.done:
            bad = {name: BadRows(settings.bad_rows) for name in sources}
            truth, predictions = (_values(path, schema, bad[name]) for name, path in sources.items())
            named = same_pages(truth, predictions)
            if not named:
                raise InputError(
                    f"{settings.predictions} and {settings.truth} have no page in common; their page ids must agree."
                )
            values, scores = score_values(schema, truth, {page: predictions[name] for page, name in named.items()})
            scores["rejected_truth"] = _rejected(settings.truth)
            scores["pages_without_prediction"] = len(truth) - len(named)
            scores["predictions_without_truth"] = len(predictions) - len(named)
            scores["bad_rows"] = {name: rows.account() for name, rows in bad.items()}
            step.write_table("values.parquet", values)
            step.write_table("items.parquet", items(values))
            write_json(step.folder / "scores.json", scores)
            write_atomic(step.folder / "schema.yaml", lambda file: file.write(schema.text().encode()))
            step.finish({**scores, "sources": {name: str(path) for name, path in sources.items()}})
    return ScoreResult(step.path)


def score_values(schema: Schema, truth: Values, predictions: Values) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Every value of the truth's pages judged, and the scores. Of several predicted values the first counts."""
    answers = []
    for page, values in truth.items():
        given = {name: found[0] for name, found in predictions.get(page, {}).items() if found}
        answers.append(PageAnswer(page, page, values, given))
    judged = judge(schema, answers)
    return judged, score(judged, schema)


def _values(path: Path, schema: Schema, bad: BadRows) -> Values:
    if not path.is_dir():
        return read_values(path, schema, bad)
    step_input(path, "label")
    labels = pl.read_parquet(path / "labels.parquet", glob=False).filter(pl.col("status") == "accepted")
    # a page without any accepted label is still a page that was looked at
    pages = pl.read_parquet(path / "labels.parquet", columns=["page_id"], glob=False)["page_id"].unique(
        maintain_order=True
    )
    values: Values = {page: {} for page in pages}
    for row in labels.iter_rows(named=True):
        values[row["page_id"]].setdefault(row["attribute"], []).append(row["value"])
    return values


def _rejected(truth: Path) -> dict[str, int]:
    """How many labels of each attribute a label step rejected, so that they are no truth; {} for a file."""
    if not truth.is_dir():
        return {}
    labels = pl.read_parquet(truth / "labels.parquet", glob=False)
    bad = labels.filter((pl.col("status") == "rejected") & pl.col("attribute").is_not_null())
    return dict(bad.group_by("attribute").len().sort("attribute").iter_rows())


def _digest(path: Path) -> str:
    file = path / "labels.parquet" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"no such file or label step: {path}. Give a file of values by page, or a label step.")
    check_stored(file)
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
