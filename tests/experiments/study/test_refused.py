"""What a study leaves out or refuses, and what makes it another study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import recollect.experiments.study.run as study_run
from helpers_study import settings, trained
from helpers_world import PROBE, TRAIN, World, contents
from recollect.core.workspace import read_manifest
from recollect.core.workspace.experiment import Failed
from recollect.errors import InputError, StepError
from recollect.experiments.study import StudyResult, StudySettings, run_study
from recollect.experiments.study.settings import StudyParts
from recollect.experiments.study.work import failure_notes
from recollect.facts import FactSet
from recollect.probe import ProbeSettings


def test_a_cell_with_too_few_facts_is_left_out_and_noted(world: World, tmp_path: Path) -> None:
    study = run_study(settings(world, choices=["0", "4"], sizes=[4, 30]), tmp_path / "study")
    cells = [(cell.levels, cell.size) for cell in trained(study).cells]
    assert cells == [("0", 4), ("random", 4), ("random", 30)]
    notes = "\n".join(study.results.notes)
    assert "Level 4 was left out at 4, 30 examples: there are only 0 such training facts." in notes
    assert "Level 0 was left out at 30 examples: there are only " in notes
    assert "left out" in study.report.read_text(encoding="utf-8")
    assert not list(study.path.rglob("*.partial"))


def test_a_study_without_any_cell_still_tells_what_the_base_knows(world: World, tmp_path: Path) -> None:
    study = run_study(settings(world, sizes=[400]), tmp_path / "study")
    assert trained(study).cells == []
    assert len(study.results.notes) >= 2
    assert study.report.is_file()


def test_too_few_facts_may_be_a_failure_beside_which_the_rest_stands(world: World, tmp_path: Path) -> None:
    wanted = settings(world, sizes=[4, 400], choices=["random"], measure_drift=False, repair=[], too_few="error")
    study = run_study(wanted, tmp_path / "study")
    [failed] = study.failed
    assert failed.name == "random-400-seed0" and "size must be at most 40" in failed.reason
    assert [cell.size for cell in trained(study).cells] == [4] and study.found.cells == 1
    assert any("random-400-seed0 failed and is not among the results" in note for note in study.results.notes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"probe": {"samples": 0}}, "probe.samples: .* but got 0"),
        ({"train": {"learning_rat": 1}}, "unknown setting 'train.learning_rat'"),
        ({"train": {"preset": "D"}}, "train.preset"),
        ({"evaluate": {"parts": "dev"}}, "evaluate.parts"),
        ({"evaluate": {"parts": "ood"}}, "section evaluate: parts must contain test, but got 'ood'"),
        ({"probe": {"parts": "test"}}, "section probe: parts must contain train, but got 'test'"),
        ({"probe": {"parts": "train"}}, r"none of the \d+ facts that would be asked .*--probe.parts train,test"),
        ({"probe": {"parts": "train"}, "evaluate": {"limit": 5}}, "none of the 10 facts that would be asked"),
        ({"probe": {"limit": 1}, "evaluate": {"limit": 1}}, "the 1 that would be probed .*limit 1"),
        ({"probe": {"template_file": "none.yaml"}}, "no such file: none.yaml"),
        ({"probe": {"model": "x"}}, "probe must not set model"),
        ({"train": {"seed": 1}}, "train must not set seed"),
        ({"evaluate": {"levels": "x"}}, "evaluate must not set levels"),
        ({"choices": ["5"]}, "choices"),
        ({"sizes": []}, "sizes: .*must not be empty"),
        ({"sizes": [4, 4]}, "sizes: .*must not repeat"),
        ({"sizes": "4,x"}, "sizes"),
        ({"repeats": 0}, "repeats"),
        ({"seads": 3}, "unknown setting 'seads'"),
    ],
)
def test_a_bad_value_is_named_before_any_work(
    world: World, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_study(settings(world, **changed), tmp_path / "study")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["train", "test"])
def test_facts_without_a_part_that_is_needed_are_refused(world: World, tmp_path: Path, missing: str) -> None:
    facts = FactSet(tuple(fact for fact in world.fact_set if fact.part != missing), "partly")
    with pytest.raises(InputError, match="needs facts in train and test, but the fact set 'partly' has"):
        run_study(settings(world), tmp_path / "study", facts=facts)


def test_another_study_in_the_same_place_is_refused(whole: StudyResult, world: World, tmp_path: Path) -> None:
    before = contents(whole.path)
    templates = {name: ["[X] is", "of [X] it is", "about [X]:"] for name in world.fact_set.relations}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(templates), encoding="utf-8")
    own = {**PROBE, "template_file": str(tmp_path / "own.yaml")}
    for changed in ({"sizes": [4]}, {"train": {**TRAIN, "epochs": 2}}, {"probe": own}):
        with pytest.raises(StepError, match="holds a step made from other settings or inputs"):
            run_study(settings(world, **changed), whole.path)
    assert contents(whole.path) == before


def test_other_templates_in_the_same_file_are_another_study(world: World, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    own = settings(world, sizes=[4], choices=["random"], probe={**PROBE, "templates": 1, "template_file": str(file)})
    for words in ("[X] is", "of [X] it is"):
        file.write_text(yaml.safe_dump({name: [words] for name in world.fact_set.relations}), encoding="utf-8")
        if words == "[X] is":
            run_study(own, tmp_path / "study")
        else:
            with pytest.raises(StepError, match="input templates was"):
                run_study(own, tmp_path / "study")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"repair": ["2"]}, "repair names 2"),
        ({"drift": {"levels": "x"}}, "drift must not set levels"),
        ({"ladder": {"export": "best"}}, "ladder must not set export"),
        ({"drift": {"limit": 0}}, "drift.limit"),
        ({"ladder": {"ladder": "0,200"}}, "ladder.ladder"),
    ],
)
def test_bad_drift_and_ladder_settings_are_refused_before_any_work(
    world: World, changed: dict[str, Any], text: str
) -> None:
    with pytest.raises(InputError, match=text):
        StudyParts.of(settings(world, **changed))


@pytest.mark.parametrize("section", ["drift", "ladder"])
def test_another_general_text_is_another_study(world: World, tmp_path: Path, section: str) -> None:
    text = tmp_path / "t.txt"
    prints = set()
    for words in ("one text\n", "another text\n", "one text\n"):
        text.write_text(words)
        prints.add(json.dumps(study_run._texts(StudyParts.of(settings(world, **{section: {"text": str(text)}})))))
    assert len(prints) == 2
    assert study_run._texts(StudyParts.of(settings(world))) == {}  # so the folders of older studies are found again


def test_a_limited_probe_of_an_earlier_version_makes_another_study(world: World, tmp_path: Path) -> None:
    limited = settings(
        world, probe={**PROBE, "limit": 30}, sizes=[4], choices=["random"], measure_drift=False, repair=[]
    )
    study = run_study(limited, tmp_path / "study")
    assert read_manifest(study.path).inputs["facts of the limit"] == "taken by facts_seed"
    manifest = json.loads((study.path / "manifest.json").read_text(encoding="utf-8"))
    del manifest["inputs"]["facts of the limit"], manifest["checksum"]
    manifest["fingerprint"] = "0" * 32
    (study.path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(StepError, match="facts of the limit"):
        run_study(limited, tmp_path / "study")


@pytest.mark.parametrize(
    ("given", "said"), [("  ", "must not be blank"), ("\t", "must not be blank"), ("", "must not be empty")]
)
@pytest.mark.parametrize("field", ["model", "facts"])
def test_a_name_of_blanks_is_one_clear_line(given: str, said: str, field: str) -> None:
    for kind in (ProbeSettings, StudySettings):
        with pytest.raises(InputError, match=f"^{field}: {said}"):
            kind.make(**{field: given})
    axis = {"model": "models", "facts": "data"}[field]
    with pytest.raises(InputError, match=f"^{axis}, entry 2, {field}: {said}") as raised:
        StudySettings.make(**{axis: ["pocket", given]})
    assert "\n" not in str(raised.value)


def test_what_failed_for_one_reason_is_told_once() -> None:
    failed = [
        Failed(name=name, reason=why) for name, why in (("a", "no memory."), ("b", "too few."), ("c", "no memory."))
    ]
    assert failure_notes(failed) == [
        "a, c failed, and what they found is not among the results: no memory.",
        "b failed and is not among the results: too few.",
    ]
