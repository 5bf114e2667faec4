"""A study on a chat model, from the probe to the report: every step asks and trains in the model's own template."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from helpers_study import settings, trained
from helpers_world import World
from recollect.experiments.study import run_study
from recollect.probe import ProbeFound

_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token if m.role == 'assistant' }}{{ '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture
def chatty(world: World, tmp_path: Path) -> World:
    shutil.copytree(world.model, folder := tmp_path / "chatty")
    (folder / "chat_template.jinja").write_text(_TEMPLATE, encoding="utf-8")
    return World(folder, world.facts, world.fact_set)


def test_a_study_on_a_chat_model_works_end_to_end(chatty: World, tmp_path: Path) -> None:
    asked = {"sizes": [4], "ladder": {"ladder": "20"}, "probe": {"templates": 2, "method": "closed-form"}}
    study = run_study(settings(chatty, **asked), tmp_path / "runs" / "chat")
    steps = {path.parent.name: json.loads(path.read_text()) for path in study.path.glob("steps/*/manifest.json")}
    kinds = {name: step["step"] for name, step in steps.items()}
    assert set(kinds.values()) == {"probe", "select", "train", "evaluate", "drift", "ladder"}
    asking = {name: step["settings"].get("prompt") for name, step in steps.items() if kinds[name] != "select"}
    assert asking.pop("probe") is None and set(asking.values()) == {"chat"}
    assert ProbeFound.read(study.path / "steps" / "probe").prompt == "plain"
    assert json.loads((study.path / "manifest.json").read_text())["inputs"]["prompt"] == "chat"
    assert study.report.is_file() and len(trained(study).cells) == 2

    plain = run_study(settings(chatty, **asked, train={"prompt": "plain", "max_steps": 1}), tmp_path / "runs" / "plain")
    told = [json.loads(path.read_text()) for path in plain.path.glob("steps/*/manifest.json")]
    assert {step["settings"]["prompt"] for step in told if step["step"] in ("train", "evaluate", "drift")} == {"plain"}


def test_a_study_can_probe_in_the_template_too(chatty: World, tmp_path: Path) -> None:
    probe = {"templates": 2, "method": "closed-form", "prompt": "chat"}
    study = run_study(settings(chatty, sizes=[4], probe=probe, repair=[]), tmp_path / "chat")
    assert ProbeFound.read(study.path / "steps" / "probe").prompt == "chat"
