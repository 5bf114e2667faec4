"""The report folder: the page, the results as JSON, and its tables as Parquet."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recollect.core.estimates import Estimate
from recollect.core.workspace import update_checksums, write_atomic, write_json, write_parquet
from recollect.errors import InputError
from recollect.report.chapters import chapters
from recollect.report.chapters.knows.record import Known
from recollect.report.page.render import render_page
from recollect.report.page.results import Results
from recollect.report.results.collect import report_results
from recollect.report.results.read import RESULTS_FILE
from recollect.report.scores.record import LEVELS, Scores, Trained

REPORT_FILE = "report.html"


def render(results: Results) -> str:
    """The report as HTML text; equal results give equal text."""
    return render_page(results, chapters())


def write_report(of: Results | Path, folder: Path | None = None) -> Path:
    """Write report.html, results.json and the tables into `folder` (made if absent); returns the page's path.

    of: results, or a finished study, curve or search; without `folder` the page goes into that, whose manifest then
    counts the new files. Each file is replaced as a whole. Equal results give equal bytes. InputError when `folder` is
    a file, or is missing where results are given.

    Examples:
        `study` is the folder of a `run_study`.

        >>> from pathlib import Path
        >>> from recollect import read_results, write_report
        >>> page = write_report(read_results(study), Path("report"))
        >>> sorted(path.name for path in page.parent.iterdir())
        ['cells.parquet', 'levels.parquet', 'levels_by_relation.parquet', 'report.html', 'results.json']
    """
    results = report_results([of]) if isinstance(of, Path) else of
    folder = folder or (of if isinstance(of, Path) else None)
    if folder is None:
        raise InputError("write_report needs a folder for results, e.g. write_report(results, Path('report')).")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder} cannot be made: a part of the path is a file. Give a folder.") from None
    write_json(folder / RESULTS_FILE, results.model_dump(mode="json"))
    write_parquet(folder / "cells.parquet", cells_table(results))
    write_parquet(folder / "levels.parquet", levels_table(results))
    write_parquet(folder / "levels_by_relation.parquet", relations_table(results))
    page = render(results)  # last: what was measured is stored before anything is drawn
    write_atomic(folder / REPORT_FILE, lambda file: file.write(page.encode()))
    if folder == of:
        update_checksums(folder)
    return folder / REPORT_FILE


def cells_table(results: Results) -> pl.DataFrame:
    """One row per trained model and part, and two for the base (levels "base", size 0); scores in percent."""
    trained = results.of(Trained) or Trained()
    asked: list[tuple[str, int, int | None, Scores, Scores | None]] = []
    asked += [("base", 0, None, trained.base.test, trained.base.ood)] if trained.base else []
    asked += [(cell.levels, cell.size, cell.seed, cell.test, cell.ood) for cell in trained.cells]
    rows = []
    for levels, size, seed, test, ood in asked:
        for part, scores in (("test", test), ("ood", ood)):
            if scores is not None:
                rows.append({"levels": levels, "size": size, "seed": seed, "part": part, **_scores(scores)})
    text, whole = ("levels", "part"), ("size", "seed", "n", "without_level", *(f"n_{level}" for level in LEVELS))
    names = ("levels", "size", "seed", "part", *_scores(Scores()))
    schema = {name: pl.String if name in text else pl.Int64 if name in whole else pl.Float64 for name in names}
    return pl.DataFrame(rows, schema=schema)


def levels_table(results: Results) -> pl.DataFrame:
    """Facts per part and memory level."""
    schema = {"part": pl.String, "level": pl.Int64, "n": pl.Int64}
    return pl.DataFrame([row.model_dump() for row in (results.of(Known) or Known()).levels], schema=schema)


def relations_table(results: Results) -> pl.DataFrame:
    """Facts per relation, part and memory level, and the mean memory score (0 to 1) there."""
    rows = [
        {"relation": r.relation, "name": r.name, "domain": r.domain, "part": r.part, "level": level, "n": n}
        | {"mean_score": r.mean_score}
        for r in (results.of(Known) or Known()).levels_by_relation
        for level, n in enumerate(r.counts)
    ]
    text = dict.fromkeys(("relation", "name", "domain", "part"), pl.String)
    return pl.DataFrame(rows, schema={**text, "level": pl.Int64, "n": pl.Int64, "mean_score": pl.Float64})


def _scores(scores: Scores) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for name, found in (("macro", scores.macro), ("micro", scores.micro)):
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), _percent(found), strict=True))
    word = None if scores.word_macro is None else 100 * scores.word_macro
    row |= {"n": scores.n, "without_level": scores.without_level, "word_macro": word}
    for level in LEVELS:
        found = scores.level(level)
        row |= dict(zip((f"accuracy_{level}", f"low_{level}", f"high_{level}"), _percent(found), strict=True))
        row[f"n_{level}"] = found.n if found else 0
    return row


def _percent(found: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return found.percent if found else (None, None, None)
