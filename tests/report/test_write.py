"""The report folder, and reading results back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

import helpers_drift
from recollect.core.estimates import Estimate
from recollect.errors import InputError
from recollect.report import Results, Trained, make_results, read_results, write_report
from recollect.report.chapters.knows.record import Known


def test_results_read_back_are_the_results_written(tmp_path: Path, study: Results) -> None:
    page = write_report(study, tmp_path / "new" / "report")
    assert page == tmp_path / "new" / "report" / "report.html"
    assert read_results(page.parent) == study
    assert read_results(page.parent / "results.json") == study
    assert sorted(file.name for file in page.parent.iterdir()) == [
        "cells.parquet",
        "levels.parquet",
        "levels_by_relation.parquet",
        "report.html",
        "results.json",
    ]


def test_writing_twice_gives_equal_bytes(tmp_path: Path, study: Results) -> None:
    write_report(study, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write_report(study, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_tables_hold_every_cell_and_count(tmp_path: Path, study: Results) -> None:
    write_report(study, tmp_path)
    cells = pl.read_parquet(tmp_path / "cells.parquet")
    assert cells.height == 2 + 2 * len(study.of(Trained).cells)
    one = study.of(Trained).cells[5]
    row = cells.filter(levels=one.levels, size=one.size, seed=one.seed, part="test").row(0, named=True)
    assert row["macro"] == one.test.macro.percent[0]
    assert row["accuracy_3"] == one.test.by_level["3"].percent[0]
    assert row["n_3"] == one.test.by_level["3"].n
    levels = pl.read_parquet(tmp_path / "levels.parquet")
    assert levels.filter(part="train")["n"].sum() == 75_944
    relations = pl.read_parquet(tmp_path / "levels_by_relation.parquet")
    assert relations["n"].sum() == sum(sum(row.counts) for row in study.of(Known).levels_by_relation)


def test_not_measured_becomes_null_and_never_nan(tmp_path: Path, invented: SimpleNamespace) -> None:
    results = make_results(invented.nasty())
    assert results.of(Trained).cells[0].test.macro is None
    write_report(results, tmp_path)
    assert "NaN" not in (tmp_path / "results.json").read_text()
    assert pl.read_parquet(tmp_path / "cells.parquet")["macro"].to_list() == [None, None, 20.0]
    assert read_results(tmp_path) == results


def test_a_study_without_cells_or_levels_can_be_written(tmp_path: Path, invented: SimpleNamespace) -> None:
    write_report(make_results(invented.minimal(cells=[], levels=[])), tmp_path)
    assert pl.read_parquet(tmp_path / "levels.parquet").height == 0


def test_a_file_in_the_way_is_an_input_error(tmp_path: Path, study: Results) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        write_report(study, tmp_path / "taken")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "must hold one JSON object, but holds list"),
        ("{}", "must have schema_version 2 or 3, but got None"),
        ('{"schema_version": 1}', "must have schema_version 2 or 3, but got 1"),
        ('{"schema_version": 2}', "title must be given"),
    ],
)
def test_a_malformed_file_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_results(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="not UTF-8"):
        read_results(tmp_path)


def _set(values: dict, place: tuple, value: object) -> dict:
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return values


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("cells", 0, "levels"), "5", r"cells\.0\.levels: .*but got '5'"),
        (("cells", 0, "size"), 0, r"cells\.0\.size: .*greater than or equal to 1, but got 0"),
        (("cells", 0, "test", "macro"), 130.0, r"cells\.0\.test\.macro: .*must lie between 0 and 100 %"),
        (("cells", 0, "test", "macro_low"), None, r"cells\.0\.test\.macro\.low: .*should be a valid number"),
        (("cells", 0, "test", "macro"), math.inf, r"cells\.0\.test\.macro"),
        (("levels", 0, "part"), "dev", r"levels\.0\.part"),
        (("colour",), "red", "colour is not a known key"),
        (("model", "parameters"), "many", r"model\.parameters: .*but got 'many'"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(
    invented: SimpleNamespace, place: tuple, value: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_results(_set(invented.minimal(), place, value))


_ONE = {"levels": "2", "size": 60, "seed": 0}
_EXAMPLE = helpers_drift.ladder()["examples"][0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chapters": [1]}, r"chapters must be an object, but got \[1\]"),
        ({"chapters": None}, "chapters must be an object, but got None"),
        ({"base": {"test": {"by_level": [1]}}}, r"elicits\.base\.test\.by_level: .*but got \[1\]"),
        ({"attributes": {"systems": [{"test": [{"by_attribute": [1]}]}]}}, r"by_attribute: .*but got \[1\]"),
        ({"drift": {"ladders": [{**_ONE, "examples": [{**_EXAMPLE, "kind": 3}]}]}}, r"examples\.0\.kind: .*but got 3"),
        ({"drift": {"cells": [{**_ONE, "kl_full": 1.0, "kl_full_se": "x"}]}}, r"kl_full: .*but got 'x'"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_every_older_form(
    invented: SimpleNamespace, changes: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_results(invented.minimal(**changes))


def test_repeated_cells_and_counts_are_refused(invented: SimpleNamespace) -> None:
    cell = invented.cell("2", 60, 30.0)
    with pytest.raises(InputError, match=r"every cell .* may occur once, but \(2, 60, 0\) occurs twice"):
        make_results(invented.minimal(cells=[cell, cell]))
    with pytest.raises(InputError, match=r"level count .* \(test, 0\) occurs twice"):
        make_results(invented.minimal(levels=[{"part": "test", "level": 0, "n": 1}] * 2))


def test_a_long_list_of_faults_is_cut_short(tmp_path: Path, invented: SimpleNamespace) -> None:
    values = invented.minimal(cells=[invented.cell("9", 60, 30.0, seed=i) for i in range(40)])
    (tmp_path / "results.json").write_text(json.dumps({"schema_version": 2, **values}))
    with pytest.raises(InputError, match="and 35 more"):
        read_results(tmp_path)


def test_results_are_stored_before_anything_is_drawn(study, tmp_path, monkeypatch):
    def broken(results):
        raise RuntimeError("no page today")

    monkeypatch.setattr("recollect.report.results.write.render", broken)
    with pytest.raises(RuntimeError, match="no page today"):
        write_report(study, tmp_path / "r")
    assert read_results(tmp_path / "r") == study


def test_bounds_allow_what_rounding_does():
    """A share of 1.0000000000000013 ended a whole study of a real model."""
    from pydantic import TypeAdapter

    from recollect.report.page.record import Fraction, Share

    def share_of(value: float) -> Estimate:
        return Estimate(value, value, value, 10, "")

    assert TypeAdapter(Share).validate_python(1.0000000000000013) == 1.0
    assert TypeAdapter(Share).validate_python(-1e-12) == 0.0
    assert TypeAdapter(Fraction).validate_python(share_of(1.0000000000000013)).value == pytest.approx(1.0)
    for kind, value in ((Share, 1.001), (Share, -0.001), (Fraction, share_of(1.001)), (Fraction, share_of(-0.001))):
        with pytest.raises(ValueError, match="less than or equal|greater than or equal|between 0 and 100"):
            TypeAdapter(kind).validate_python(value)


def test_a_file_of_the_schema_before_is_read_and_written_as_todays(tmp_path: Path, invented: SimpleNamespace) -> None:
    old = tmp_path / "results.json"
    old.write_text(json.dumps({"schema_version": 2, **invented.full()}))
    results = read_results(old)
    best = results.of(Trained).best
    assert best is not None and best.score is not None and best.score.value == pytest.approx(0.3)
    write_report(results, tmp_path / "new")
    assert json.loads((tmp_path / "new" / "results.json").read_text())["schema_version"] == 3
    assert read_results(tmp_path / "new") == results
