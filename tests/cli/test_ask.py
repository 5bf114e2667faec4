"""`recollect ask`: who is asked of which folder, whose probability is which, and what cannot be asked."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest

from helpers_tiny import tiny_model
from helpers_world import TRAIN, Command, World
from recollect.ask import find_sides, side_by_side
from recollect.models import ModelSettings, load
from recollect.prompt import encode_prompt
from recollect.restore import RestoreSettings, run_restore
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

QUESTION = "What is P17 of thing 3?"


@pytest.fixture(scope="module")
def steps(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full training, a LoRA training and a restoration of the first one."""
    top = tmp_path_factory.mktemp("steps")
    chosen = run_select(SelectSettings.make(size=8, level="random"), world.fact_set, out=top / "chosen").path
    how = {**TRAIN, "learning_rate": 1e-2, "max_steps": 6}
    run_train(TrainSettings.make(model=str(world.model), **how), chosen, out=top / "tuned")
    lora = {**how, "method": "lora", "lora_targets": "all-linear"}
    run_train(TrainSettings.make(model=str(world.model), **lora), chosen, out=top / "lora")
    settings = RestoreSettings.make(percent=50, region="all")
    run_restore(settings, str(world.model), str(top / "tuned"), out=top / "restored")
    return top


def test_one_question_gets_every_sides_answer(recollect: Command, steps: Path) -> None:
    told = recollect("ask", steps / "restored", QUESTION, "--max-new-tokens", 5, "--json").json
    assert list(told["answers"]) == ["base", "tuned", "restored"]
    assert all(isinstance(text, str) for text in told["answers"].values())
    assert all(0 <= share <= 1 for row in told["probabilities"].values() for share in row.values())
    text = recollect("ask", steps / "tuned", QUESTION, "--max-new-tokens", 5).out
    assert "base" in text and "tuned" in text and "probability to base" in text
    assert "nothing tells what is right" in text and "e-" not in text.replace("probability", "")


def test_where_a_fact_asks_the_question_the_right_answer_is_told(recollect: Command, steps: Path, world: World) -> None:
    words = ("ask", steps / "tuned", QUESTION.lower(), "--facts", world.facts, "--max-new-tokens", 3)
    told = recollect(*words, "--json").json
    assert told["accepted"] == ["Zq"]
    assert told["right"] == {side: "zq" in text.lower() for side, text in told["answers"].items()}
    shown = recollect(*words).out
    assert shown.startswith("right: Zq\n") and ("wrong" in shown or "right" in shown.partition("\n")[2])
    assert recollect(*words[:3], "--facts", "nowhere.csv").code == 2


def test_probabilities_are_the_products_of_softmaxes(steps: Path, world: World) -> None:
    """By a plain forward pass of each model over the prompt and the greedy answer."""
    import torch

    base, tuned = side_by_side(str(steps / "tuned")).ask(QUESTION, 4)
    for answer in (base, tuned):
        for side, place in (("base", world.model), ("tuned", steps / "tuned")):
            loaded = load(ModelSettings(model=str(place)))
            own = load(ModelSettings(model=str(world.model if answer.side == "base" else steps / "tuned")))
            prompt = encode_prompt(loaded.tokenizer, QUESTION)
            inputs = torch.tensor([prompt])
            mask = torch.ones_like(inputs)
            said = own.model.generate(inputs, attention_mask=mask, max_new_tokens=4, do_sample=False)[0, len(prompt) :]
            said = [int(token) for token in said if int(token) != 2]
            with torch.no_grad():
                logits = loaded.model(torch.tensor([[*prompt, *said]])).logits[0].double()
            steps_ = torch.log_softmax(logits[len(prompt) - 1 : -1], dim=-1)
            expected = float(sum(steps_[at, token] for at, token in enumerate(said)).exp())
            assert answer.probability[side] == pytest.approx(expected, rel=1e-4)
    assert (base.own, tuned.own) == (base.probability["base"], tuned.probability["tuned"])


def test_questions_come_one_a_line_until_an_empty_one(
    recollect: Command, steps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{QUESTION}\nWho wrote book 2?\n\nnever asked\n"))
    answer = recollect("ask", steps / "tuned", "--max-new-tokens", 3, "--json", "--out", "last.json")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert [list(line["answers"]) for line in lines] == [["base", "tuned"]] * 2
    assert json.loads(Path("last.json").read_text()) == lines[1]


def test_who_is_asked_of_which_place(steps: Path, world: World, tmp_path: Path) -> None:
    model, tuned = str(world.model), str(steps / "tuned")
    assert find_sides(tuned).models == {"base": model, "tuned": tuned}
    assert find_sides(f"{tuned}/model").models == {"base": model, "tuned": tuned}
    assert list(find_sides(str(steps / "restored")).models) == ["base", "tuned", "restored"]
    assert find_sides(str(steps / "lora")).models["base"] == model
    adapter = shutil.copytree(steps / "lora" / "model", tmp_path / "adapter")
    assert Path(find_sides(str(adapter)).models["base"]).resolve() == world.model.resolve()
    alone = find_sides(model)
    assert alone.models == {"model": model} and "--base names it" in alone.notes[0]
    assert find_sides(tuned, base="pocket").models["base"] == "pocket"
    assert find_sides(model, base="pocket").models == {"base": "pocket", "tuned": model}


def test_a_base_that_changed_or_went_is_told(recollect: Command, steps: Path, world: World, tmp_path: Path) -> None:
    base = shutil.copytree(world.model, tmp_path / "base")
    chosen = steps / "chosen"
    run_train(TrainSettings.make(model=str(base), max_steps=1, **TRAIN), chosen, out=tmp_path / "tuned")
    assert not find_sides(str(tmp_path / "tuned")).notes
    shutil.rmtree(base)
    gone = recollect("ask", tmp_path / "tuned", QUESTION)
    assert gone.code == 2 and "--base gives it another name" in gone.err
    tiny_model(base, seed=7)
    assert "holds other weights now" in find_sides(str(tmp_path / "tuned")).notes[0]


def test_what_holds_no_model_is_refused_with_what_to_give(
    recollect: Command, steps: Path, world: World, tmp_path: Path
) -> None:
    refused = recollect("ask", steps / "chosen", QUESTION)
    assert refused.code == 2 and "is a select step, which holds no model to ask" in refused.err
    cell = shutil.copytree(steps / "tuned", tmp_path / "cell")
    (cell / "model" / "model.safetensors").unlink()
    dropped = recollect("ask", cell, QUESTION)
    assert dropped.code == 2 and "were not kept" in dropped.err and "--keep-models" in dropped.err
    assert recollect("ask", tmp_path / "nowhere", QUESTION).code == 2
    assert "the question is empty" in recollect("ask", world.model, " ").err
    long = recollect("ask", world.model, "long " * 300)
    assert long.code == 2 and "the question has" in long.err
