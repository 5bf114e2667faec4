"""A study end to end on a tiny model: its cells and files, the command, and the shipped examples."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
import yaml

import recollect.experiments.study.work as study_work
from helpers_study import settings, trained, values
from helpers_world import EVALUATE, PROBE, Command, World, contents, tables
from recollect.cli.study import study_answer
from recollect.core.settings import read_yaml
from recollect.errors import RecollectWarning
from recollect.experiments.study import StudyResult, StudySettings, run_study
from recollect.experiments.study.settings import StudyParts
from recollect.report import collect_results, verdict, write_report
from recollect.report.chapters.drift.record import Drift

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def test_every_choice_is_trained_at_every_size_and_random_beside_it(whole: StudyResult) -> None:
    cells = [(cell["levels"], cell["size"], cell["seed"]) for cell in study_answer(whole, trained(whole))["cells"]]
    assert cells == [("0", 4, 0), ("random", 4, 0), ("0", 8, 0), ("random", 8, 0)]
    for cell in study_answer(whole, trained(whole))["cells"]:
        assert 0 <= cell["macro"] <= 100
        assert cell["macro_low"] <= cell["macro"] <= cell["macro_high"]
        assert 0 <= cell["ood_macro"] <= 100
    for name, size in (("0", 4), ("random", 8)):
        chosen = pl.read_parquet(whole.path / "steps" / f"select-{name}-{size}-seed0" / "selection.parquet")
        assert chosen.height == size
        assert name == "random" or set(chosen["level"]) == {0}


def test_one_training_each_is_a_number_and_no_verdict(whole: StudyResult) -> None:
    best = trained(whole).best
    assert best is not None and best.candidates == 5  # level 0 and random at two sizes, and the base
    assert all(one is None or one.sign is None for one in (best.base, best.random, best.rival, best.ood_base))


def test_the_folder_holds_the_report_its_numbers_and_the_steps(whole: StudyResult) -> None:
    names = {path.name for path in whole.path.iterdir()}
    files = {"report.html", "results.json", "cells.parquet", "levels.parquet", "levels_by_relation.parquet"}
    assert names == {*files, "manifest.json", "steps"}
    assert whole.results.title in whole.report.read_text(encoding="utf-8")
    assert {path.name for path in (whole.path / "steps").iterdir()} == {
        "probe",
        "base",
        "base-few-shot",
        *(f"{step}-{name}-{size}-seed0" for step in ("select", "train", "evaluate", "drift")
          for name in ("0", "random") for size in (4, 8)),
        "ladder-random-8-seed0",
    }  # fmt: skip
    cells = pl.read_parquet(whole.path / "cells.parquet")
    assert sorted(set(cells["levels"])) == ["0", "base", "random"]
    levels = pl.read_parquet(whole.path / "levels.parquet")
    assert levels.group_by("part").agg(pl.col("n").sum()).sort("part").rows() == [
        ("ood", 8),
        ("test", 20),
        ("train", 40),
    ]
    recorded = {step.path: step.fingerprint for step in whole.results.steps}
    for path, fingerprint in recorded.items():
        assert json.loads((whole.path / path / "manifest.json").read_text())["fingerprint"] == fingerprint
    assert verdict(whole.results)


def test_the_scores_are_those_of_the_steps(whole: StudyResult) -> None:
    for cell in trained(whole).cells:
        folder = whole.path / "steps" / f"evaluate-{cell.levels}-{cell.size}-seed{cell.seed}"
        told = pl.read_parquet(folder / "outputs.parquet").filter(pl.col("part") == "test")
        assert cell.test.micro is not None and cell.test.micro.value == pytest.approx(told["contains"].mean())
        by_level = told.group_by("level").agg(pl.col("contains").mean())
        assert cell.test.macro is not None and cell.test.macro.value == pytest.approx(by_level["contains"].mean())


def test_the_same_study_again_does_nothing(whole: StudyResult, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(whole.path)
    for name in ("run_probe", "run_evaluate", "attempt_cells"):
        monkeypatch.setattr(study_work, name, lambda *_, **__: pytest.fail("a finished study was worked on"))
    monkeypatch.setattr("recollect.report.write_report", lambda *_: pytest.fail("the page was drawn again"))
    again = run_study(settings(world), whole.path)
    assert again.results == whole.results
    assert again == whole
    assert contents(whole.path) == before


def test_a_title_decides_nothing_and_a_finished_study_keeps_its_own(whole: StudyResult, world: World) -> None:
    with pytest.warns(RecollectWarning, match=r"was finished as 'What does the base know.*keeps that title"):
        assert run_study(settings(world, title="Another"), whole.path) == whole
    assert whole.results.title == settings(world).title == "What does the base know, and which examples elicit it?"


def test_models_are_dropped_unless_they_are_kept(whole: StudyResult, world: World, tmp_path: Path) -> None:
    assert not list(whole.path.rglob("*.safetensors"))
    kept = run_study(settings(world, sizes=[4], choices=["random"], keep_models=True), tmp_path / "study")
    assert [path.parts[-3] for path in kept.path.rglob("*.safetensors")] == ["train-random-4-seed0"]


def test_every_model_is_compared_with_the_base_and_random_of_the_largest_size_is_repaired(whole: StudyResult) -> None:
    drift = whole.results.of(Drift)
    assert drift is not None
    assert [(cell.levels, cell.size) for cell in drift.cells] == [("0", 4), ("random", 4), ("0", 8), ("random", 8)]
    for cell in drift.cells:
        assert cell.kl_full is not None and cell.kl_full.value > 0 and cell.kl_full.n > 0
        assert cell.share_top["60"] is not None and cell.share_top["60"] > 0.5
    (ladder,) = drift.ladders
    assert (ladder.levels, ladder.size, ladder.seed) == ("random", 8, 0)
    orders = {rung.order for rung in ladder.rungs}
    assert orders == {"tuned", "base", "relative", "absolute", "bottom", "random", "interpolation"}
    assert ladder.test_facts == 20 and ladder.ood_facts == 8
    told = pl.read_parquet(whole.path / "steps" / "ladder-random-8-seed0" / "outputs.parquet")
    sides = {
        name: dict(
            told.filter((pl.col("order") == name) & (pl.col("part") == "test")).select("fact_id", "contains").rows()
        )
        for name in ("base", "tuned")
    }
    elicited = [fact for fact, right in sides["tuned"].items() if right and not sides["base"][fact]]
    ood = told.filter((pl.col("part") == "ood") & pl.col("order").is_in(["base", "tuned"]))
    elicited_ood = (
        ood.pivot("order", index="fact_id", values="contains").filter(~pl.col("base") & pl.col("tuned"))
    ).height
    assert ladder.counts["elicited, kept"] + ladder.counts["elicited, lost again"] == len(elicited) + elicited_ood
    assert drift.modules_of is not None and drift.modules_of.levels == "random"
    assert sum(row.share or 0 for row in drift.modules) == pytest.approx(1)


def test_drift_and_repair_can_be_left_out(world: World, tmp_path: Path) -> None:
    plain = settings(world, sizes=[4], choices=["random"], measure_drift=False, repair="none")
    study = run_study(plain, tmp_path / "study")
    assert study.results.of(Drift) is None
    assert not list((study.path / "steps").glob("drift-*")) + list((study.path / "steps").glob("ladder-*"))


def test_repeats_draw_and_train_anew(world: World, tmp_path: Path) -> None:
    study = run_study(settings(world, sizes=[8], choices=["random"], seed=5, repeats=2), tmp_path / "study")
    assert [cell.seed for cell in trained(study).cells] == [5, 6]
    one, two = (
        pl.read_parquet(study.path / "steps" / f"select-random-8-seed{seed}" / "selection.parquet") for seed in (5, 6)
    )
    assert set(one["fact_id"]) != set(two["fact_id"])
    for seed in (5, 6):
        manifest = json.loads((study.path / "steps" / f"train-random-8-seed{seed}" / "manifest.json").read_text())
        assert manifest["settings"]["seed"] == seed


# -- the command ----------------------------------------------------------------------------------------


def test_the_command_with_a_yaml_file_is_the_same_study(recollect: Command, whole: StudyResult, world: World) -> None:
    Path("study.yaml").write_text(yaml.safe_dump(values(world)), encoding="utf-8")
    answer = recollect("study", "--config", "study.yaml", "--out", "mine", "--json").json
    for name in ("base", "cells"):
        assert answer[name] == study_answer(whole, trained(whole))[name]
    assert Path(answer["report"]).is_file()
    assert answer["seconds"] > 0
    assert tables(Path("mine")) == tables(whole.path)
    again = recollect("study", "--config", "study.yaml", "--out", "mine")
    assert "macro accuracy in %" in again.out
    assert "report: " in again.err
    other = recollect("study", "--config", "study.yaml", "--sizes", "4", "--out", "mine")
    assert other.code == 3
    assert "sizes was [4, 8], now [4]" in other.err


def test_the_report_is_written_again_from_the_results(recollect: Command, whole: StudyResult, tmp_path: Path) -> None:
    answer = recollect("report", whole.path, "--out", "page", "--json").json
    assert Path(answer["report"]).read_bytes() == whole.report.read_bytes()
    shutil.copy(whole.path / "results.json", tmp_path / "results.json")
    assert recollect("report", "results.json").out.strip() == "report.html"


def test_the_demo_is_a_study_with_its_own_defaults(recollect: Command, world: World) -> None:
    given = ["--model", world.model, "--facts", world.facts, "--sizes", "4", "--choices", "random", "--repeats", "1"]
    sections = [f"--{name}={json.dumps(section)}" for name, section in (("probe", PROBE), ("evaluate", EVALUATE))]
    answer = recollect("demo", *given, *sections, "--seed", "2", "--json").json
    assert [(cell["levels"], cell["size"], cell["seed"]) for cell in answer["cells"]] == [("random", 4, 2)]
    assert Path(answer["report"]) == Path("recollect-demo/report.html").resolve()
    shown = json.loads(Path("recollect-demo/results.json").read_text(encoding="utf-8"))["settings"]
    origin = {entry["name"]: entry["origin"] for entry in shown if entry["step"] == "study"}
    assert (origin["sizes"], origin["too_few"]) == ("study", "default")


# -- the shipped examples ---------------------------------------------------------------------------------


def test_the_demo_file_is_a_valid_study() -> None:
    parts = StudyParts.of(StudySettings.make(**read_yaml(EXAMPLES / "demo.yaml")))
    assert parts.train.learning_rate > 1e-5  # the pocket's own preset, not a large model's


@pytest.mark.slow
def test_the_example_program_runs(tmp_path: Path) -> None:
    program = [sys.executable, EXAMPLES / "main_job.py", tmp_path / "job"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=1200, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("60 facts,      3: macro ")
    assert lines[1].startswith("60 facts, random: macro ")


@pytest.mark.slow
def test_a_few_facts_of_the_pocket_are_probed(recollect: Command) -> None:
    answer = recollect("probe", "--model", "pocket", "--facts", "pocket", "--limit", "20", "--out", "p", "--json").json
    assert answer["facts"] == 20
    assert sum(answer["levels"].values()) == 20


def test_every_step_of_a_study_names_what_it_read(world: World, whole: StudyResult) -> None:
    facts, probe = str(world.facts), str(whole.path / "steps/probe")  # not the unfinished study's
    for name in ("base", "evaluate-random-8-seed0", "select-random-8-seed0"):
        manifest = json.loads((whole.path / "steps" / name / "manifest.json").read_text())
        found = manifest["metrics"]["sources"]
        assert found["facts"] == facts, name
        assert found["levels"] == probe, name
    own = json.loads((whole.path / "manifest.json").read_text())["metrics"]["sources"]
    assert own == {"model": str(world.model), "facts": facts}


def test_facts_handed_over_in_python_are_not_called_by_the_name_of_a_default(world: World, tmp_path: Path) -> None:
    from recollect.evaluate import EvaluateSettings, run_evaluate
    from recollect.select import SelectSettings, run_select

    asked = run_evaluate(
        EvaluateSettings.make(model=str(world.model), **EVALUATE), world.fact_set, out=tmp_path / "evaluate"
    )
    chosen = run_select(SelectSettings.make(level="random", size=4), world.fact_set, out=tmp_path / "select")
    for path in (asked.path, chosen.path):
        sources = json.loads((path / "manifest.json").read_text())["metrics"]["sources"]
        assert sources["facts"] == "in memory: small"
        assert sources["levels"] == ""


def test_a_study_copied_elsewhere_is_reported_from_its_steps(whole: StudyResult, world: World, tmp_path: Path) -> None:
    copy = shutil.copytree(whole.path, tmp_path / "elsewhere" / "study")
    with _gone(world.model), _gone(world.facts), _gone(whole.path):
        results = collect_results(copy)  # from the steps alone, not from results.json
        page = write_report(copy, tmp_path / "page")
    assert results == whole.results
    assert page.read_bytes() == whole.report.read_bytes()


@contextmanager
def _gone(place: Path) -> Iterator[None]:
    """What is not where it was, as on another machine."""
    away = place.rename(place.with_name(place.name + "-away"))
    try:
        assert not place.exists()
        yield
    finally:
        away.rename(place)


def test_the_base_is_asked_with_examples_beside_the_trained_models(world: World, tmp_path: Path) -> None:
    from recollect.report.chapters.flips.record import FlipsFound

    study = run_study(settings(world, sizes=[4], measure_drift=False, repair=[], few_shot=2), tmp_path / "study")
    found = study.results.of(FlipsFound)
    assert found is not None
    assert {(row.levels, row.size) for row in found.rows} == {(None, 2), ("0", 4), ("random", 4)}
    assert "Which answers flipped" in (study.path / "report.html").read_text(encoding="utf-8")
    too_many = run_study(settings(world, sizes=[4], measure_drift=False, repair=[], few_shot=99), tmp_path / "many")
    assert any("was not asked with 99 examples in its prompt: 99 examples" in note for note in too_many.results.notes)
    assert not (too_many.path / "steps" / "base-few-shot").exists()
