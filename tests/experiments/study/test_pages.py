"""A study of product pages: nothing is probed, training sets are random, and scores are by attribute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers_world import Command, tables
from recollect.cli.study import study_answer
from recollect.errors import InputError
from recollect.experiments.plan import Assume, plan_study
from recollect.experiments.study import StudyResult, StudySettings, run_grid, run_study
from recollect.experiments.study import run as study_run
from recollect.report import Attributes, Parts
from recollect.report.scores.findings import Findings
from recollect.report.scores.record import Trained

SMALL: dict[str, Any] = {
    "model": "pocket-shop",
    "facts": "pocket-shop",
    "sizes": [5],
    "repeats": 1,
    "train": {"max_steps": 1, "batch_size": 2},
    "evaluate": {"limit": 2, "max_new_tokens": 8},
}
CURVE = {"sizes": [0, 3, 5], "repeats": 1}


def wanted(**changed: Any) -> StudySettings:
    return StudySettings.make(**SMALL | changed)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """With a curve."""
    return run_study(wanted(curve=CURVE), tmp_path_factory.mktemp("pages") / "study")


def test_pages_are_studied_without_a_probe(whole: StudyResult) -> None:
    steps = sorted(path.name for path in (whole.path / "steps").iterdir())
    assert steps == ["base", "curve", "evaluate-random-5-seed0", "select-random-5-seed0", "train-random-5-seed0"]
    assert not whole.failed and whole.found.cells == 1 and whole.found.steps == 5
    manifest = json.loads((whole.path / "steps/curve/manifest.json").read_text())
    assert manifest["metrics"]["sources"]["levels"] == ""
    results = whole.results
    assert set(results.chapters) == {"attributes", "curve", "findings"} and results.of(Trained) is None
    found = results.of(Attributes)
    assert found is not None
    assert [(one.name, one.kind) for one in found.systems] == [
        ("most frequent value", "baseline"),
        ("untouched base", "base"),
        ("5 examples", "tuned"),
    ]
    assert sum("nothing was probed" in note for note in results.notes) == 1
    page = whole.report.read_text(encoding="utf-8")
    assert "nothing was probed" in page and "What is read from pages" in page and "memory level 4" not in page


def test_the_findings_about_pages_are_read_from_the_curve_and_name_what_is_missing(whole: StudyResult) -> None:
    found = whole.results.of(Findings)
    assert found is not None and [one.id for one in found.findings] == list(range(13, 20))
    needs = {one.id: one.deciding.needs for one in found.findings}
    assert needs[13] == "no size from 100 to 400: add 200 to the sizes of the section curve"
    assert all("section search" in needs[number] for number in (16, 17, 18, 19)) and found.tested == 0


def test_the_answer_has_the_mean_over_the_attributes(whole: StudyResult) -> None:
    answer: Any = study_answer(whole, Trained())
    found = whole.results.of(Attributes)
    assert found is not None
    base, tuned = found.systems[1], found.systems[2]
    assert base.test[0].macro is not None and answer["base"]["macro"] == base.test[0].macro.percent[0]
    [cell] = answer["cells"]
    assert (cell["levels"], cell["size"], cell["seed"]) == ("random", 5, 0) and answer["best"] is None
    assert tuned.test[0].macro is not None and tuned.ood[0].macro is not None
    assert (cell["macro"], cell["macro_low"], cell["macro_high"]) == tuned.test[0].macro.percent
    assert cell["ood_macro"] == tuned.ood[0].macro.percent[0]


def test_a_study_beside_it_and_the_same_one_again_take_all(whole: StudyResult) -> None:
    other = run_study(wanted(curve=CURVE, few_shot=0, title="Other"), whole.path.parent / "other")
    assert other.found.reused == other.found.steps == 5, "a file that says itself what pages are given"
    again = run_study(wanted(curve=CURVE), whole.path)
    assert again.reused == 5 and tables(again.path / "steps") == tables(other.path / "steps")
    more = run_study(wanted(sizes=[5, 6]), whole.path.parent / "more")
    assert (more.found.steps, more.found.reused) == (7, 4)


def test_what_is_gone_is_made_again(tmp_path: Path) -> None:
    first = run_study(wanted(), tmp_path / "study")
    before = (first.path / "steps/base/outputs.parquet").read_bytes()
    (first.path / "steps/base/outputs.parquet").unlink()
    again = run_study(wanted(), tmp_path / "study")
    assert (again.found.steps, again.found.reused) == (4, 3)
    assert (again.path / "steps/base/outputs.parquet").read_bytes() == before


def test_workers_make_the_same(whole: StudyResult, tmp_path: Path) -> None:
    shared = run_study(wanted(curve=CURVE, executor="workers"), tmp_path / "study")
    assert not shared.failed and shared.found.cells == 1 and shared.found.steps == 5
    for name in ("base", "evaluate-random-5-seed0", "curve"):
        assert tables(shared.path / "steps" / name) == tables(whole.path / "steps" / name), name


def test_a_grid_shows_the_means_of_its_parts(tmp_path: Path) -> None:
    grid = run_grid(wanted(methods=["full", "lora"]), tmp_path / "grid")
    assert not grid.failed and (grid.found.steps, grid.found.reused) == (8, 2)
    found = grid.results.of(Parts)
    assert found is not None
    assert [(one.name, one.models, one.size, one.pages) for one in found.parts] == [
        ("full", 1, 5, True),
        ("lora", 1, 5, True),
    ]
    assert all(one.base is not None and one.best is not None for one in found.parts)
    assert "means over the attributes" in grid.report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"choices": [0, "random"]}, "choices must be random, but got 0"),
        ({"measure_hidden": True}, "no level 0 to split"),
        ({"probe": {"samples": 3}}, "nothing is probed. Leave the section probe out"),
        ({"few_shot": 4}, "few_shot must be 0"),
        ({"measure_drift": True}, "measure_drift must be false"),
        ({"repair": ["random"]}, "repair must be none"),
        ({"curve": {"level": "0"}}, "curve must draw at random"),
        ({"search": {"select": {"level": "mixed"}}}, "search must draw at random"),
        ({"evaluate": {"judge": "word"}}, "no judge goes with them"),
    ],
)
def test_what_pages_do_not_have_is_refused_before_any_work(
    changed: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_run, "find_engine", pytest.fail)
    with pytest.raises(InputError, match=message) as error:
        run_study(wanted(**changed), tmp_path / "study")
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_a_plan_has_no_probe_and_sees_what_is_there(whole: StudyResult, tmp_path: Path) -> None:
    plan = plan_study(wanted(), tmp_path / "new", assume=Assume(calibrate=False))
    assert (plan.steps, plan.training_steps) == (4, 1) and plan.there == 0
    beside = plan_study(wanted(), whole.path.parent / "new", assume=Assume(calibrate=False))
    assert beside.there == 4
    with pytest.raises(InputError, match="choices must be random"):
        plan_study(wanted(choices=[4]), tmp_path / "new", assume=Assume(calibrate=False))


def test_the_command_prints_attributes(
    whole: StudyResult, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recollect = Command(monkeypatch, capsys)
    given = ["--model", "pocket-shop", "--facts", "pocket-shop", "--sizes", "5", "--repeats", "1"]
    given += ["--train", "{max_steps: 1, batch_size: 2}", "--evaluate", "{limit: 2, max_new_tokens: 8}"]
    shown = recollect("study", *given, "--curve", json.dumps(CURVE), "--out", str(whole.path))
    assert shown.code == 0, shown.err
    assert "In-domain: known shops" in shown.out and "no JSON" in shown.out
    assert "macro accuracy in %" not in shown.out and "no best choice" not in shown.out
    asked = recollect("study", *given, "--choices", "4")
    assert asked.code == 2 and "choices must be random, but got 4" in asked.err
