"""A curve end to end on a tiny model: its runs and files, resumption after a kill, rounds, and what is refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import recollect.experiments.cell as cell_module
from helpers_world import EVALUATE, TRAIN, Command, World, flags, tables
from recollect.cli.curve import _answer
from recollect.core.workspace import MANIFEST, is_finished, read_manifest, update_checksums
from recollect.core.workspace.manifest import write_sealed
from recollect.errors import InputError, StepError
from recollect.experiments.curve import CurveResult, CurveSettings, run_curve
from recollect.experiments.curve.run import _Curve, sizes_of
from recollect.facts import Fact, FactSet
from recollect.report import read_results, write_report

MEANS = ((15, 25), (60, 32), (240, 32.5), (960, 32.4))
SCORES = "size,seed,score\n" + "".join(f"{n},{s},{mean + 0.2 * s}\n" for n, mean in MEANS for s in (0, 1))


def values(world: World, **changed: Any) -> dict[str, Any]:
    """Sizes 0, 4 and 8, two seeds each."""
    sections = {"train": TRAIN, "evaluate": EVALUATE, "sizes": [0, 4, 8], "repeats": 2}
    return {"model": str(world.model), "facts": str(world.facts), **sections} | changed


@pytest.fixture(scope="module")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> CurveResult:
    """An uninterrupted curve."""
    return run_curve(CurveSettings.make(**values(world)), tmp_path_factory.mktemp("whole") / "curve")


def test_every_size_and_seed_is_run_and_the_base_once(whole: CurveResult) -> None:
    runs = whole.runs()
    assert runs.filter(part="test").select("size", "seed").rows() == [(0, 0), (4, 0), (4, 1), (8, 0), (8, 1)]
    assert runs.filter(part="test")["items"].unique().to_list() == [20]
    assert runs.filter(part="ood")["items"].unique().to_list() == [8]
    assert runs["score"].is_between(0, 100).all()


def test_scores_are_those_of_the_evaluations(whole: CurveResult) -> None:
    for part in ("test", "ood"):
        stored = pl.read_parquet(whole.path / "steps" / "evaluate-8-seed1" / "accuracy.parquet")
        micro = stored.filter(part=part, level="micro", matcher="contains")["accuracy"].item()
        assert whole.runs().filter(part=part, size=8, seed=1)["score"].item() == pytest.approx(micro)


def test_the_folder_holds_report_table_and_steps_but_no_weights(whole: CurveResult) -> None:
    assert {"report.html", "results.json", "curve.parquet", "manifest.json", "steps"} <= {
        path.name for path in whole.path.iterdir()
    }
    assert not list(whole.path.rglob("*.safetensors"))
    assert "How much data is enough" in whole.report.read_text(encoding="utf-8")


def test_the_page_is_made_again_from_the_folders_alone(
    whole: CurveResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `report`, wherever the folder is now, and from nothing that was written of the page before."""
    copy = tmp_path / "moved"
    shutil.copytree(whole.path, copy)
    monkeypatch.setattr("recollect.report.results.collect.read_results", lambda _: pytest.fail("not collected"))
    write_report(copy)
    for name in ("report.html", "results.json"):
        assert (copy / name).read_bytes() == (whole.path / name).read_bytes()
    results = read_results(copy)
    assert results.title == "Data curve: how many examples are enough (trained on a random draw)"
    assert results.model is not None and results.facts is not None and results.facts.train == 40
    assert {step.step for step in results.steps} == {"evaluate", "select", "train"}


def test_a_curve_killed_while_its_page_is_drawn_has_all_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scores.csv").write_text(SCORES)
    chosen = CurveSettings.make(scores=str(tmp_path / "scores.csv"))

    def drawn(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("recollect.report.write_report", drawn)
        with pytest.raises(KeyboardInterrupt):
            run_curve(chosen, tmp_path / "curve")
    assert is_finished(tmp_path / "curve")
    found = run_curve(chosen, tmp_path / "curve")
    assert found.report.is_file() and read_results(found.path).model is None
    assert "report.html" in (read_manifest(found.path).files or {}), "the new files count among the step's"


def test_a_page_of_an_earlier_version_is_kept_however_often_it_is_drawn(tmp_path: Path) -> None:
    """Its manifest does not hold all that the page shows, but the results beside it do, in whatever schema."""
    (tmp_path / "scores.csv").write_text(SCORES)
    path = run_curve(CurveSettings.make(scores=str(tmp_path / "scores.csv")), tmp_path / "curve").path
    write_report(read_results(path).model_copy(update={"title": "As it was"}), path)
    update_checksums(path)
    manifest = read_manifest(path)
    earlier = {name: value for name, value in manifest.metrics.items() if name not in ("given", "title")}
    write_sealed(path / MANIFEST, manifest.model_copy(update={"metrics": earlier}))
    for _ in range(2):
        write_report(path)
        assert read_results(path).title == "As it was"


def test_the_answer_has_what_the_contract_names(whole: CurveResult) -> None:
    found = _answer(whole)
    assert {"verdict", "n_sat", "low", "high", "sizes", "scores", "next", "ood", "gains", "families"} <= found.keys()
    assert found["sizes"] == [0, 4, 8] and len(found["scores"]) == 3
    assert found["low"] <= found["n_sat"] <= found["high"]
    assert found["ood"]["sizes"] == [0, 4, 8]
    assert found["trainings"] == 4
    json.dumps(found, allow_nan=False)


def test_the_same_command_again_returns_at_once(
    whole: CurveResult, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_module, "run_train_until", None)
    assert run_curve(CurveSettings.make(**values(world)), whole.path) == whole
    with pytest.raises(StepError, match="margin"):
        run_curve(CurveSettings.make(**values(world, margin=5)), whole.path)


def test_several_processes_give_the_same_curve(whole: CurveResult, world: World, tmp_path: Path) -> None:
    other = run_curve(CurveSettings.make(**values(world, executor="processes", workers=2)), tmp_path / "curve")
    assert tables(other.path) == tables(whole.path)
    assert other.found.parts == whole.found.parts
    names = [json.loads((one.path / "manifest.json").read_text())["fingerprint"] for one in (whole, other)]
    assert names[0] == names[1], "where it runs is no part of what it is"


_KILLED = """
import json, os, signal, sys
import recollect.experiments.cell as cell, recollect.experiments.curve.run as run
values, out, name, count = json.loads(sys.argv[1])
real, calls = getattr(cell, name), []
def dying(*args, **keywords):
    found = real(*args, **keywords)
    calls.append(name)
    if len(calls) == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
setattr(cell, name, dying)
run.run_curve(run.CurveSettings.make(**values), __import__("pathlib").Path(out))
"""


def test_a_curve_killed_between_training_and_asking_ends_in_the_same_tables(
    whole: CurveResult, world: World, tmp_path: Path
) -> None:
    out = tmp_path / "curve"
    order = json.dumps([values(world), str(out), "run_train_until", 2])
    child = subprocess.run([sys.executable, "-c", _KILLED, order], capture_output=True, timeout=300, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert not out.exists()
    run_curve(CurveSettings.make(**values(world)), out)
    assert tables(out) == tables(whole.path)


def test_a_curve_stopped_in_its_second_round_goes_on_to_the_cap(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a margin below the noise nothing is decided, so rounds go on up to the cap."""
    chosen = CurveSettings.make(**values(world, until="decided", margin=0.01, most_trainings=8, confidence=0.999))
    out, real, calls = tmp_path / "curve", cell_module.run_train_until, []

    def stopping(*arguments: Any, **keywords: Any) -> Any:
        calls.append(keywords["out"].name)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    monkeypatch.setattr(cell_module, "run_train_until", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_curve(chosen, out)
    assert not out.exists()
    found = run_curve(chosen, out)
    assert calls[5] == calls[6], "the stopped training is the next one made"
    assert len(calls) == len(set(calls)) + 1, "no other is made again"
    assert found.found.verdict.name == "undecided" and found.found.trainings == 8
    assert any("more than 8 trainings" in note for note in found.found.notes)
    assert found.runs().filter(part="test").select("size", "seed").is_unique().all()


def level_off(place: tuple[int, int]) -> pl.DataFrame:
    """What a model would answer on 400 items whose score levels off after some 100 examples, with noise by seed."""
    size, seed = place
    rng = np.random.default_rng([size, seed])
    share = 0.2 + 0.3 * (1 - np.exp(-size / 40)) + (0.012 * rng.standard_normal() if size else 0)
    fixed = np.random.default_rng(0).random(400)
    item = [f"f{n}" for n in range(400)]
    part = ["test"] * 400
    right = (fixed < share).astype(float)
    return pl.DataFrame({"item": item, "unit": item, "group": None, "right": right, "count": 1.0, "part": part})


def test_until_decided_runs_the_sizes_asked_for_and_ends_decided(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        _Curve, "_measured", lambda self, places, executor: {place: level_off(place) for place in places}
    )
    facts = FactSet(tuple(Fact("P36", f"thing {n}", "e", f"Thing {n}?", split="train") for n in range(2000)), "many")
    chosen = values(world, sizes=[0, 15, 60, 240], train={}, evaluate={})
    grid = run_curve(CurveSettings.make(**chosen), tmp_path / "grid", facts=facts).found
    assert grid.verdict.name == "undecided" and grid.verdict.next
    decided = run_curve(CurveSettings.make(**chosen, until="decided"), tmp_path / "decided", facts=facts).found
    assert decided.verdict.name == "saturated"
    assert {one.size for one in grid.verdict.next} <= set(decided.verdict.sizes)
    assert grid.trainings < decided.trainings <= 60
    n_sat = decided.verdict.n_sat
    assert n_sat.low <= 40 * np.log(15) <= n_sat.high, "where 30 points · exp(−n / 40) is 2"


def test_pages_are_scored_by_attribute(world: World, tmp_path: Path) -> None:
    facts = [
        Fact(f"shop{n % 2}", f"page{n}", f'{{"brand":"B{n}","price":"{n}.50"}}', f"page {n}", split="train")
        for n in range(6)
    ] + [
        Fact("shop0", f"page{n}", f'{{"brand":"B{n}","price":"{n}.50"}}', f"page {n}", split="test") for n in (7, 8, 9)
    ]
    FactSet(tuple(facts), "pages").table().write_parquet(tmp_path / "pages.parquet")
    chosen = values(world, facts=str(tmp_path / "pages.parquet"), sizes=[0, 2, 4], repeats=1)
    found = run_curve(CurveSettings.make(**chosen), tmp_path / "curve")
    assert found.runs().filter(part="test")["items"].unique().to_list() == [6]
    record = json.loads((found.path / "results.json").read_text())["chapters"]["curve"]["curves"][0]
    assert (record["items"], record["groups"]) == (6, 2)
    assert found.runs().filter(part="test", size=4)["score"].item() == pytest.approx(
        json.loads((found.path / "steps" / "evaluate-4-seed0" / "scores.json").read_text())["macro"]
    )


def test_default_sizes_go_up_to_what_there_is() -> None:
    """And half of the largest is run too: without a size in its last doubling no rise is ever certain."""
    assert sizes_of(CurveSettings.make(), 3999) == (0, 15, 60, 250, 500, 1000)
    assert sizes_of(CurveSettings.make(), 16_000) == (0, 15, 60, 250, 1000, 4000, 8000, 16_000)
    assert sizes_of(CurveSettings.make(), 249) == (0, 15, 30, 60)
    with pytest.raises(InputError, match="needs more training examples than 20"):
        sizes_of(CurveSettings.make(), 20)


def test_any_metric_and_group_is_judged_and_named(world: World, tmp_path: Path) -> None:
    shops = [
        Fact(
            "shop", f"page{n}", f'{{"brand":"B{n}","price":"{n}.50"}}', f"page {n}", split="train" if n < 6 else "test"
        )
        for n in range(10)
    ]
    FactSet(tuple(shops), "pages").table().write_parquet(tmp_path / "pages.parquet")
    chosen = values(world, facts=str(tmp_path / "pages.parquet"), sizes=[0, 2, 4], repeats=1)
    found = run_curve(CurveSettings.make(**chosen, metric="f1", group="price"), tmp_path / "curve")
    assert found.found.scored == "F1 of group price alone"
    assert found.runs()["items"].unique().to_list() == [4]
    assert "Scored by F1 of group price alone." in found.report.read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"group must be one of title, .* but got 'colour'"):
        run_curve(CurveSettings.make(**chosen, group="colour"), tmp_path / "other")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sizes": [0, 4, 400]}, "at most 40, the number of training examples of 'random', but got 400"),
        ({"sizes": [0, 4]}, "at least three"),
        ({"sizes": [4, 4, 8]}, "none given twice"),
        ({"level": "2"}, "levels must be given"),
        ({"train": {"seed": 1}}, "must not set seed"),
        ({"train": {"rate": 1}}, "unknown setting 'train.rate'"),
        ({"evaluate": {"parts": "ood"}}, "parts must contain test"),
        ({"lower_is_better": True}, "goes with scores"),
        ({"metric": "f1"}, "metric must be accuracy or word for facts, but got f1"),
        ({"group": "4"}, "group must be left out where no memory levels are given"),
        ({"scores": "runs.csv", "group": "4"}, "metric and group go with trained models"),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_work(
    world: World, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_curve(CurveSettings.make(**values(world, **changed)), tmp_path / "curve")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "given", [{"sizes": [15, 60, 240]}, {"until": "decided"}, {"level": "mixed"}, {"train": {"epochs": 2}}]
)
def test_what_a_file_of_scores_has_no_use_for_is_refused_and_not_passed_over(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(given))} does not go with scores"):
        CurveSettings.make(scores="runs.csv", **given)


def test_the_command_judges_a_file_of_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scores.csv").write_text(SCORES)
    order = ["curve", *flags({"scores": tmp_path / "scores.csv", "out": tmp_path / "out"})]
    command = Command(monkeypatch, capsys)
    found = command(*order, "--json").json
    assert found["verdict"] == "saturated"
    assert found["sizes"] == [15, 60, 240, 960] and found["next"] == []
    assert found["low"] <= found["n_sat"] <= found["high"] <= 240
    assert Path(found["report"]).is_file()
    told = command(*order)
    assert told.code == 0 and "Saturated: from 60 examples on" in told.out


def test_the_command_runs_a_curve(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = values(world, sizes="0,4,8", repeats=1, train=json.dumps(TRAIN), evaluate=json.dumps(EVALUATE))
    answer = Command(monkeypatch, capsys)("curve", *flags(given), "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert "accuracy by training size" in answer.out and "several seeds" in answer.err
