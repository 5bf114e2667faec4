"""A whole fit: what competes, what is stored, that the test is asked once, and that a stopped one goes on."""

import errno
import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from html import unescape
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from rich.console import Console

from helpers_fit import TINY, world
from recollect.ask import find_sides
from recollect.cli.fit import _print as print_fit
from recollect.core.workspace import read_manifest
from recollect.core.workspace.fit import CALLED, COMMONEST, NAMES
from recollect.errors import InputError
from recollect.experiments.fit import FitResult, FitSettings, run_fit, stages
from recollect.experiments.fit.answers import Answers
from recollect.experiments.fit.clock import FitClock
from recollect.experiments.fit.keep import kept, kept_value
from recollect.experiments.fit.searching import STOP
from recollect.experiments.fit.stages import ASKING_BASE, ask_base
from recollect.facts import FactSet
from recollect.models import ModelSettings, load
from recollect.report import read_results
from recollect.report.chapters.fit.record import Fit

ROOT = Path(__file__).resolve().parents[3]


def test_five_compete_on_the_same_test_questions_and_one_is_chosen(fitted: FitResult):
    found = fitted.found
    assert [one.name for one in found.contenders] == list(NAMES)
    assert {one.test.n for one in found.contenders if one.test} == {40}
    assert found.best.behind is None
    for one in found.contenders:
        if one is not found.best:
            assert one.behind is not None
            assert one.behind.value == pytest.approx((one.wins - one.losses) / 40)


def test_the_rule_of_the_commonest_answers_is_counted_on_the_same_questions(fitted: FitResult):
    rule, steps = fitted.found.rule, fitted.path / "steps"
    assert rule is not None
    assert rule.by_relation
    train = [one for one in world() if one.part == "train"]
    used = set(pl.read_parquet(steps / "select-plain" / "selection.parquet")["fact_id"])
    asked = pl.read_parquet(steps / "test-base" / "outputs.parquet").filter(part="test")
    hits = 0
    for kind in rule.kinds:
        answers = Counter(one.object for one in train if one.relation == kind.name and one.id in used)
        assert answers[kind.commonest] == max(answers.values())
        truths = [world()[name] for name in asked["fact_id"] if world()[name].relation == kind.name]
        assert kind.n == len(truths)
        hits += sum(kind.commonest in one.accepted for one in truths)
    assert rule.test.value == pytest.approx(hits / 40)
    assert rule.over is not None
    best = fitted.found.best.test
    assert best is not None
    assert rule.over.value == pytest.approx(best.value - rule.test.value)
    page = fitted.report.read_text()
    assert "By relation" in page
    assert "no model: commonest answers" in page


def test_the_page_has_settings_by_the_names_of_their_flags_and_the_split_in_one_line(fitted: FitResult):
    shown = {one.name: one.value for one in read_results(fitted.path).settings}
    assert shown["budget"] == "3 trials"
    assert "data" in shown
    assert "facts" not in shown
    assert f"{fitted.found.sets.line}" in unescape(fitted.report.read_text())


def test_no_test_question_is_seen_before_the_test(fitted: FitResult):
    steps = fitted.path / "steps"
    tested = set(pl.read_parquet(steps / "test-base" / "outputs.parquet")["fact_id"])
    for file in steps.rglob("outputs.parquet"):
        if not file.parent.name.startswith("test-"):
            assert not tested & set(pl.read_parquet(file)["fact_id"]), file
    for file in steps.rglob("selection.parquet"):
        assert not tested & set(pl.read_parquet(file)["fact_id"]), file
    assert sorted(path.name for path in steps.glob("test-*")) >= ["test-base", "test-few-shot", "test-ours"]


def test_the_chosen_one_is_the_best_on_validation_or_it_is_said_why_not(fitted: FitResult):
    found = fitted.found
    worth = {
        one.name: 100 * one.validation.value
        - (found.charge * 100 * one.forgot_validation.value if one.forgot_validation else 0.0)
        for one in found.contenders
        if one.validation
    }
    best = [name for name, one in worth.items() if one == pytest.approx(max(worth.values()), abs=1e-6)]
    said = {"could not tell": found.undecided, "by the test": found.by_test}
    assert {words: words in found.chosen_by for words in said} == said
    assert found.chosen in best or any(said.values())


def test_the_model_is_whole_has_its_card_and_its_base(fitted: FitResult):
    assert load(ModelSettings.make(model=str(fitted.path))).model is not None
    card = (fitted.model / "README.md").read_text()
    assert "recollect fit" in card
    assert f"n = {fitted.found.sets.test}" in card
    assert set(find_sides(str(fitted.path)).models) == {"base", "tuned"}


def test_the_answer_for_programs_has_the_names_of_the_issue(fitted: FitResult):
    answer = fitted.answer
    assert list(answer) == [
        *("model", "chosen", "test", "low", "high", "base", "few_shot", "plain_sft", "random_same_size"),
        *("used_examples", "of", "seconds", "foretold_seconds", "cost_vs_full_search"),
        *("forgetting_plain", "forgetting", "advice"),
        *(
            "left_out",
            "forgetting_of",
            "over_plain",
            "over_random",
            "worth_it",
            "commonest",
            "over_commonest",
            "over_joined",
            "by_relation",
        ),
    ]
    json.dumps(answer, allow_nan=False)
    assert answer["low"] <= answer["test"] <= answer["high"]  # type: ignore[operator]
    assert 0 < answer["cost_vs_full_search"] < 1  # type: ignore[operator]


def test_what_is_at_risk_was_foretold_before_anything_was_trained(fitted: FitResult):
    steps = fitted.path / "steps"
    forecast = pl.read_parquet(steps / "risk.parquet")
    plain = pl.read_parquet(steps / "test-plain" / "outputs.parquet")
    assert set(plain["fact_id"].to_list()) <= set(forecast["fact_id"].to_list())
    assert (steps / "risk.parquet").stat().st_mtime <= (steps / "train-plain" / "manifest.json").stat().st_mtime
    risk, one = fitted.found.risk, fitted.found.contender("plain")
    assert risk is not None
    assert one is not None
    assert one.forgot is not None
    assert risk.known == one.forgot.n == fitted.found.known_test
    assert risk.lost == round(one.forgot.n * one.forgot.value)
    assert ("Facts at risk" in fitted.report.read_text()) == (risk.area is not None)


def test_the_page_and_its_results_tell_of_the_fit(fitted: FitResult):
    record = read_results(fitted.path).of(Fit)
    assert record is not None
    assert record.found == fitted.found
    page = fitted.report.read_text()
    assert "The contenders" in page
    assert "Score and forgetting" in page


def test_the_same_command_finds_it_done_and_asks_nothing(fitted: FitResult):
    asked = []

    def stage(what, unit, detail=None):  # type: ignore[no-untyped-def]
        asked.append(what)
        raise AssertionError(what)

    again = run_fit(FitSettings.make(budget="3 trials", seeds=2, **TINY), fitted.path, facts=world(), stage=stage)
    assert again.found == fitted.found
    assert not asked


def test_nothing_of_the_work_is_left_beside_the_result(fitted: FitResult):
    names = {one.name for one in fitted.path.iterdir()}
    assert names >= {"model", "steps", "fit.yaml", "report.html", "manifest.json"}
    assert not names & {"under-way", ".said", "step.json", ".lock"}


def test_its_own_settings_are_stored_to_repeat_it(fitted: FitResult):
    text = (fitted.path / "fit.yaml").read_text()
    assert "budget: 3 trials" in text
    assert "few_shot: 2" in text


def test_ctrl_c_keeps_the_best_so_far_and_the_same_command_goes_on_until_it_is_told_to_stop(tmp_path: Path):
    settings = FitSettings.make(budget="9 trials", seeds=1, use_levels=False, train={"max_steps": 2}, **TINY)
    facts = world()
    out = tmp_path / "stopped"
    seen: list[str] = []
    pressed = [True]

    def stage(what, unit, detail=None):  # type: ignore[no-untyped-def]
        seen.append(what)
        if what == "searching":
            if pressed.pop():
                raise KeyboardInterrupt
            (tmp_path / "stopped.partial" / STOP).touch()  # as `recollect watch` does
        return nullcontext(None)

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_fit(settings, out, facts=facts, stage=stage, say=said.append)
    assert "best so far, the untouched base" in said[-1]  # two updates taught nothing, so nothing takes its place
    assert read_manifest(out).metrics["stopped"]
    assert read_manifest(out).metrics["chosen"] == "base"
    assert (out / "model" / "model.safetensors").is_file()
    assert set(find_sides(str(out)).models) == {"base", "tuned"}
    assert not list((out / "steps").glob("test-*"))
    seen.clear()
    pressed.append(False)
    found = run_fit(settings, out, facts=facts, stage=stage).found
    assert not found.stopped
    assert found.best.test is not None
    assert "plain fine-tuning" not in seen  # what was finished is not done again
    assert not found.trials  # it was told to stop before the first


def test_stopped_in_every_stage_and_on_a_full_disk_it_ends_in_the_same_answer(
    fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings, out = FitSettings.make(budget="3 trials", seeds=2, **TINY), tmp_path / "small"
    stopped: list[str] = []
    said: list[str] = []

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def stage(what, unit, detail=None):  # type: ignore[no-untyped-def]
        if what not in stopped:
            stopped.append(what)
            if what != "searching":
                raise KeyboardInterrupt
            monkeypatch.setattr(os, "fsync", full)
        return nullcontext(None)

    full_disks: list[OSError] = []
    found = None
    while found is None:
        try:
            found = run_fit(settings, out, facts=world(), stage=stage, say=said.append).found
        except KeyboardInterrupt:
            assert read_manifest(out).metrics["stopped"] or stopped[-1] == "writing the report"
            assert load(ModelSettings.make(model=str(out))).model is not None
        except OSError as error:
            full_disks.append(error)
            monkeypatch.undo()
            kept_in = tmp_path / "small.partial" / "model"
            assert said[-1].startswith("the best so far, ") and said[-1].endswith(f" is whole in {kept_in}")
            assert load(ModelSettings.make(model=str(kept_in))).model is not None
    expected = {"loading the model", "asking the base", "searching", "the same with seed 1", "writing the report"}
    assert expected <= set(stopped)
    assert [one.errno for one in full_disks] == [errno.ENOSPC]
    times = {"seconds", "used", "foretold_seconds"}
    assert found.model_dump(exclude=times) == fitted.found.model_dump(exclude=times)
    for place in ("", "steps"):
        assert {one.name for one in (out / place).iterdir()} == {one.name for one in (fitted.path / place).iterdir()}


@pytest.mark.slow
def test_killed_in_the_middle_of_a_stage_it_ends_in_the_same_bytes():
    command = [sys.executable, "benchmarks/fit_kills.py", "--stages", "plain,test"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 endings in 2 stages: 0 with faults" in ran.stdout


def test_killed_in_its_test_a_fit_goes_on_with_the_same_models_though_nothing_has_room_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = FitSettings.make(budget="2 trials", seeds=2, use_levels=False, **TINY)
    out, facts = tmp_path / "killed", world()
    raised: list[type[BaseException]] = [KeyboardInterrupt, RuntimeError]

    def stage(what, unit, detail=None):  # type: ignore[no-untyped-def]
        if what.startswith("the test: the fit") and raised:
            raise raised.pop()
        return nullcontext(None)

    with pytest.raises(RuntimeError):
        run_fit(settings, out, facts=facts, stage=stage)
    before = kept(tmp_path / "killed.partial")
    assert kept_value(tmp_path / "killed.partial") > 0
    monkeypatch.setattr(FitClock, "room", lambda *_: False)
    with pytest.raises(KeyboardInterrupt):
        run_fit(settings, out, facts=facts, stage=stage)
    assert kept(out) == before  # and not the plain one, which comes first in every life
    found = run_fit(settings, out, facts=facts, stage=stage).found
    assert [one.name for one in found.candidates if one.chosen] == [before]
    assert not found.left_out  # it was done in an earlier life
    assert {one.kind for one in found.candidates} == {"plain", "trial", "seed", "mean", "repair"}
    assert [one.name for one in found.contenders] == list(NAMES)
    assert (out / "model" / "model.safetensors").is_file()


def test_a_test_question_longer_than_the_context_is_told_before_anything_is_asked(tmp_path: Path):
    facts = list(world())
    at = next(number for number, one in enumerate(facts) if one.part == "test")
    facts[at] = replace(facts[at], question="of " * 2000 + facts[at].question)
    settings = FitSettings.make(budget="2 trials", use_levels=False, **TINY)
    with pytest.raises(InputError, match=r"1 of \d+ texts do not fit"):
        run_fit(settings, tmp_path / "fit", facts=FactSet(tuple(facts)))
    assert not list((tmp_path / "fit.partial" / "steps").glob("*/"))


def test_examples_that_fit_beside_no_test_question_are_left_out_at_once(tmp_path: Path):
    ground = SimpleNamespace(
        settings=SimpleNamespace(few_shot=2, forgetting=0.5),
        clock=SimpleNamespace(stage=lambda name: nullcontext(), stages={ASKING_BASE: 1.0}),
        steps=tmp_path,
        notes=[],
        levels=None,
        choosing="validation",
        data=SimpleNamespace(final="test"),
        evaluation=lambda shots=0: shots,
        ask=lambda out, facts, settings, what, base: asked.append((facts, settings)) or Answers(tmp_path),
    )
    asked: list[tuple[str, int]] = []

    def too_long(ground, facts, shots):  # type: ignore[no-untyped-def]
        raise InputError(f"{facts} with {shots} examples does not fit")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "_check_lengths", too_long)
        patch.setattr(stages, "known_before", lambda *_: None)
        patch.setattr(stages, "speaking", lambda asking, _: asking)
        found = ask_base(ground)  # type: ignore[arg-type]
    assert list(found) == ["base"]
    assert asked == [("validation", 0)]
    assert "test with 2 examples does not fit" in ground.notes[0]


def test_the_contenders_have_the_same_names_on_the_terminal_the_page_and_in_the_advice(
    fitted: FitResult, monkeypatch: pytest.MonkeyPatch
):
    shown = Console(record=True, width=200, file=StringIO())
    monkeypatch.setattr("recollect.cli.fit.console_out", shown)
    monkeypatch.setattr("recollect.cli.options.console_out", shown)
    print_fit(fitted.found)
    terminal, page = shown.export_text(), unescape(fitted.report.read_text(encoding="utf-8"))
    for name in NAMES:
        assert CALLED[name] in terminal
        assert f">{CALLED[name]}<" in page
    assert COMMONEST in terminal and COMMONEST in page
    assert fitted.found.advice[0].startswith(f"Take {CALLED[fitted.found.chosen]}: ")
    assert CALLED[fitted.found.chosen] in fitted.found.chosen_by.lower()
