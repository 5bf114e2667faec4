"""Curves and searches on a chat model: all their steps ask and train in its template, and say so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from helpers_search_run import values as search_values
from helpers_tiny import tiny_levels
from helpers_world import EVALUATE, TRAIN, World
from recollect.experiments.curve import CurveSettings, run_curve
from recollect.experiments.search import SearchSettings
from recollect.experiments.search.prepare import prepare

_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token if m.role == 'assistant' }}{{ '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture(scope="module")
def chatty(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    shutil.copytree(world.model, folder := tmp_path_factory.mktemp("chatty") / "model")
    (folder / "chat_template.jinja").write_text(_TEMPLATE, encoding="utf-8")
    return World(folder, world.facts, world.fact_set)


def _asked_in(folder: Path) -> set[tuple[str, str | None]]:
    found = [json.loads(path.read_text()) for path in folder.rglob("manifest.json")]
    return {(one["step"], one["settings"].get("prompt")) for one in found if one["step"] in ("train", "evaluate")}


def test_a_curve(chatty: World, tmp_path: Path) -> None:
    settings = {"train": TRAIN, "evaluate": EVALUATE, "sizes": [0, 4, 8], "repeats": 2}
    given = CurveSettings.make(model=str(chatty.model), facts=str(chatty.facts), **settings)
    curve = run_curve(given, tmp_path / "curve")
    assert _asked_in(curve.path) == {("train", "chat"), ("evaluate", "chat")}
    assert json.loads((curve.path / "manifest.json").read_text())["inputs"]["prompt"] == "chat"


def test_a_search_settles_it_for_all_trials(chatty: World, world: World, tmp_path: Path) -> None:
    levels = tmp_path / "levels.parquet"
    tiny_levels(chatty.fact_set).write_parquet(levels)
    for one, told in ((chatty, {"prompt": "chat"}), (world, {})):
        prepared = prepare(SearchSettings.make(**search_values(one, levels)))
        assert {key: value for key, value in prepared.inputs.items() if key == "prompt"} == told
        assert (prepared.train.prompt, prepared.evaluate.prompt) == (told.get("prompt", "auto"),) * 2
    given = prepare(SearchSettings.make(**search_values(chatty, levels, train={"preset": "C"})))
    assert (given.train.prompt, given.evaluate.prompt) == ("plain", "plain")  # as the paper did
