"""A model with a chat template: whatever puts prompts to it knows that they once began with another token."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recollect import DriftSettings, StudySettings, load_facts, run_drift, run_study
from recollect.facts import FactSet
from recollect.models import begin_input
from recollect.shipped import SHIPPED


@pytest.fixture
def chatty(tmp_path: Path) -> Path:
    folder = tmp_path / "chatty"
    shutil.copytree(SHIPPED["pocket"].model, folder)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}",
        encoding="utf-8",
    )
    return folder


def test_a_chat_template_alone_makes_the_difference(chatty: Path, tmp_path: Path) -> None:
    assert begin_input(SHIPPED["pocket"].model) == {}
    assert begin_input(chatty) == {"begin": "the tokenizer's own"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "x"}), encoding="utf-8")
    assert begin_input(tmp_path) == begin_input(chatty)


def test_drift_and_every_step_of_a_study_tell_of_it(chatty: Path, tmp_path: Path) -> None:
    every = load_facts("pocket")
    facts = FactSet((*every.part("train").facts[:20], *every.part("test").facts[:8]), "few")
    drift = run_drift(DriftSettings(limit=4, text_tokens=100), str(chatty), str(chatty), facts, out=tmp_path / "drift")
    settings = StudySettings.make(
        model=str(chatty),
        sizes=(4,),
        choices=("random",),
        repeats=1,
        probe={"templates": 1, "method": "closed-form"},
        train={"preset": "pocket", "max_steps": 1},
        ladder={"ladder": "20", "text_tokens": 100},
    )
    study = run_study(settings, tmp_path / "study", facts=facts)
    places = [drift.path, study.path, *(file.parent for file in study.path.glob("steps/*/manifest.json"))]
    told = {place.name: json.loads((place / "manifest.json").read_text())["inputs"].get("begin") for place in places}
    assert {name for name, begin in told.items() if begin is None} == {"select-random-4-seed0"}  # it asks no model
    assert len(told) >= 8
