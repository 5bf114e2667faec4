"""The score step: anyone's values against the truth, by the same scorer as a model's answers; and files of values.

Notable choices
- A file holds `{page: {attribute: value or list}}` as JSON, or a table, long or wide. Keys that the schema lacks (an
  address, a name) are left alone; a file without any attribute of the schema is an error.
- Every value is read as text, so that an identifier keeps its leading zeros. Tables are read as those of facts are
  (separator, encoding, bad rows, what a cell is).
- A page read from a folder below is called `shop/17`; a file may call it `17`, as long as that is only one page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from recollect.core.json_object import JsonObject
from recollect.core.settings import PathOrName, Settings
from recollect.core.tables import (
    BadRows,
    BadRowsFound,
    BadRowsMode,
    CellError,
    Row,
    RowError,
    cell_text,
    check_ending,
    check_value,
    decode,
    load_json,
    read_bytes,
    read_table,
)
from recollect.core.workspace import DEFAULT_ROOT, Step, check_stored, open_step, step_input, write_atomic, write_json
from recollect.core.workspace.files import digest_of
from recollect.errors import InputError
from recollect.extraction import need_pages
from recollect.extraction.values.normalisers import NORMALISER
from recollect.extraction.values.schema import Schema, read_schema
from recollect.extraction.values.scoring import PageAnswer, PageScores, items, judge, score

Values = dict[str, dict[str, list[str]]]
"""Values by page id and attribute name."""


class ScoreSettings(Settings):
    """Score predicted attribute values of pages against the true ones, by attribute.

    Examples:
        >>> from recollect import ScoreSettings
        >>> ScoreSettings.make(predictions="answers.csv", truth="truth.csv").truth.name
        'truth.csv'
    """

    runtime_only: ClassVar[set[str]] = {"predictions", "truth"}

    predictions: Path
    """A .json, .csv, .tsv, .jsonl or .parquet file of values by page id, or a label step directory."""
    truth: Path
    """The true values, in the same forms. Any of several true values counts."""
    attributes: PathOrName = "product"
    """The attributes scored: "product" (eight of them), or a YAML file with a schema."""
    bad_rows: BadRowsMode = "error"
    """What becomes of a row that cannot be used: error (the first one ends the step) or skip (left out and counted)."""
    seed: int = 0
    """Has no effect: scores are counts, and their intervals have a seed of their own."""


class ScoreFound(PageScores):
    """The scores of predicted values."""

    rejected_truth: dict[str, int] = {}
    """Labels of each attribute that a label step rejected, so that they are no truth."""
    pages_without_prediction: int = 0
    predictions_without_truth: int = 0
    bad_rows: dict[str, BadRowsFound] = {}
    """Rows left out of truth and predictions."""
    sources: dict[str, str] = {}

    def in_percent(self) -> dict[str, object]:
        """As of `PageScores`, with what is said of the files."""
        of_files = {"rejected_truth", "pages_without_prediction", "predictions_without_truth", "bad_rows"}
        return {**super().in_percent(), **self.model_dump(mode="json", include=of_files)}


@dataclass(frozen=True)
class ScoreResult:
    """A finished score step."""

    path: Path
    found: ScoreFound

    def values(self) -> pl.DataFrame:
        """One row per page and attribute: true values, given value, verdict."""
        return pl.read_parquet(self.path / "values.parquet", glob=False)

    def items(self) -> pl.DataFrame:
        """One row per true value: item, unit = page, group = attribute, right, part."""
        return pl.read_parquet(self.path / "items.parquet", glob=False)


def run_score(settings: ScoreSettings, *, out: Path | None = None, root: Path = DEFAULT_ROOT) -> ScoreResult:
    """Score the predictions on the pages of the truth; a page without a prediction counts as empty.

    Raises InputError for files that cannot be read, and when no page is in both.

    Examples:
        >>> from pathlib import Path
        >>> from recollect import ScoreSettings, run_score
        >>> written = Path("truth.csv").write_text("page_id,title,price\\n1,Lamp,41.90\\n2,Vase,12.50\\n")
        >>> written = Path("answers.csv").write_text("page_id,title,price\\n1,Lamp,41.90\\n2,Vase,99.00\\n")
        >>> found = run_score(ScoreSettings.make(truth="truth.csv", predictions="answers.csv")).found
        >>> found.by_attribute["price"].accuracy.value
        0.5
    """
    need_pages("recollect score")
    schema = read_schema(settings.attributes)
    sources = {"truth": settings.truth, "predictions": settings.predictions}
    digests = {name: _digest(path) for name, path in sources.items()}
    inputs = {"schema": schema.text(), "normaliser": NORMALISER, **digests}
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
            found = ScoreFound(
                **dict(scores),
                rejected_truth=_rejected(settings.truth),
                pages_without_prediction=len(truth) - len(named),
                predictions_without_truth=len(predictions) - len(named),
                bad_rows={name: rows.account() for name, rows in bad.items()},
                sources={name: str(path) for name, path in sources.items()},
            )
            write_scores(step, schema, values, found.in_percent())
            step.finish(found)
    return ScoreResult(step.path, ScoreFound.read(step.path))


def score_values(schema: Schema, truth: Values, predictions: Values) -> tuple[pl.DataFrame, PageScores]:
    """Every value of the truth's pages judged, and the scores. Of several predicted values the first counts."""
    answers = []
    for page, values in truth.items():
        given = {name: found[0] for name, found in predictions.get(page, {}).items() if found}
        answers.append(PageAnswer(page, page, values, given))
    judged = judge(schema, answers)
    return judged, score(judged, schema)


def write_scores(step: Step, schema: Schema, values: pl.DataFrame, scores: Mapping[str, object]) -> None:
    """The files of every step that scores pages: values, items, scores in percent, and the schema."""
    step.write_table("values.parquet", values)
    step.write_table("items.parquet", items(values))
    write_json(step.folder / "scores.json", scores)
    write_atomic(step.folder / "schema.yaml", lambda file: file.write(schema.text().encode()))


def _values(path: Path, schema: Schema, bad: BadRows) -> Values:
    if not path.is_dir():
        return read_values(path, schema, bad)
    step_input(path, "label")
    values: Values = {}  # a page without any accepted label is still a page that was looked at
    for row in pl.read_parquet(path / "labels.parquet", glob=False).iter_rows(named=True):
        found = values.setdefault(row["page_id"], {})
        if row["status"] == "accepted":
            found.setdefault(row["attribute"], []).append(row["value"])
    return values


def _rejected(truth: Path) -> dict[str, int]:
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
    return digest_of(file)


# -- files of values ------------------------------------------------------------------------------------------------


def read_values(path: Path, schema: Schema, bad: BadRows | None = None) -> Values:
    """The values of a .json, .csv, .tsv, .jsonl or .parquet file by page and attribute. Raises InputError.

    JSON: `{page_id: {attribute: "value" | ["value", …] | null}}`. Tables: the column page_id, and either the columns
    attribute and value (one row per value) or one column per attribute. `bad` takes the rows that cannot be used; by
    default the first one is an error.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}. Give a .json, .csv, .tsv, .jsonl or .parquet file of values.")
    bad = bad or BadRows()
    check_ending(path)
    data = read_bytes(path)
    loaded = load_json(decode(data, str(path)), str(path)) if path.suffix.lower() == ".json" else None
    if isinstance(loaded, dict) and all(isinstance(page, dict) for page in loaded.values()):
        values = _by_page(loaded, schema, path, bad)
    elif path.suffix.lower() == ".json" and not _is_rows(loaded):
        raise InputError(
            f"{path} must map page ids to objects of attributes, as {{page: {{attribute: value}}}}, or be a list of "
            "rows with a page_id."
        )
    else:
        values = _by_row(path, data, schema, bad)
    if not any(values.values()):
        skipped = f" ({len(bad.found):,} bad rows were skipped)" if bad.found else ""
        raise InputError(
            f"{path} has no value of the attributes {', '.join(schema.names)}{skipped}. Check the names in it."
        )
    return values


def same_pages(wanted: Collection[str], given: Collection[str]) -> dict[str, str]:
    """The name in `given` of each wanted page that is there: the same, or the same without the folders before it.

    A name without folders counts only where it means one page on each side.
    """
    ours, theirs = ({name: name.rsplit("/", 1)[-1] for name in names} for names in (wanted, given))
    often = Counter(ours.values()), Counter(theirs.values())
    by_file = {file: name for name, file in theirs.items() if often[0][file] == often[1][file] == 1}
    known = set(given)
    found = {name: name if name in known else by_file.get(file) for name, file in ours.items()}
    return {name: match for name, match in found.items() if match is not None}


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) and "page_id" in row for row in value)


def _by_page(loaded: Mapping[str, JsonObject], schema: Schema, path: Path, bad: BadRows) -> Values:
    """The values of a JSON object of pages; keys that the schema lacks are left alone."""
    values: Values = {}
    for page, given in loaded.items():
        where = f"page {page[:80]!r}"
        try:
            _check(page, where, path)
            texts = {name: _list(given.get(name), name, where, path) for name in schema.names}
        except RowError as error:
            bad.add(where, error)
            continue
        values[page] = {name: found for name, found in texts.items() if found}
    return values


def _by_row(path: Path, data: bytes, schema: Schema, bad: BadRows) -> Values:
    """The values of a table, long or wide."""
    table = read_table(path, bad, data)
    columns = table.columns
    if "page_id" not in columns:
        read_with = f" (read with the separator {table.separator!r})" if table.separator else ""
        raise InputError(
            f"{path} has no column page_id; it has {', '.join(columns[:40])}{read_with}. Name the pages' ids so."
        )
    long = {"attribute", "value"} <= set(columns)
    values: Values = {}
    for row in table.rows:
        try:
            page, found = _row(row, schema, long, path)
        except RowError as error:
            bad.add(row.where, error)
            continue
        named = values.setdefault(page, {})
        for name, texts in found.items():
            named.setdefault(name, []).extend(texts)
    return values


def _row(row: Row, schema: Schema, long: bool, path: Path) -> tuple[str, dict[str, list[str]]]:
    """The page and the values of one row."""
    where, cells = row
    pages = _list(cells.get("page_id"), "page_id", where, path)
    if len(pages) != 1:
        raise RowError("no page_id", f"{path}: {where} must have one page_id, but has {cells.get('page_id')!r}.")
    names = _list(cells.get("attribute"), "attribute", where, path) if long else schema.names
    pairs = [(name, cells.get("value" if long else name)) for name in names if name in schema.names]
    found = {name: texts for name, value in pairs if (texts := _list(value, name, where, path))}
    return pages[0], found


def _list(value: Any, name: str, where: str, path: Path) -> list[str]:
    """The texts of a cell or of a list of cells; empty ones are left out. RowError for one that is no text."""
    _check(value, where, path)
    try:
        texts = [cell_text(item) for item in (value if isinstance(value, list) else [value])]
    except CellError as error:
        raise RowError(f"{name} is {error.kind}", f"{path}: {where}: {name} {error}.") from None
    return [text for text in texts if text]


def _check(value: Any, where: str, path: Path) -> None:
    if fault := check_value(value)[1]:
        raise RowError(fault[0], f"{path}: {where} holds {fault[1]}.")
