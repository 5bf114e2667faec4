"""What a plan foretells of a fit of chats, in counts, is what is done: a conversation is learned whole and once, each
answer is asked after the turns before it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from helpers_chat import write_chat_model
from recollect.chat.frame import frame_of
from recollect.evaluate import run_evaluate
from recollect.experiments.fit import FitSettings, run_fit
from recollect.experiments.fit.prepare import prepare_fit
from recollect.experiments.plan import Assume, plan_fit
from recollect.experiments.plan.talks import talk_lengths
from recollect.experiments.plan.work import asking_work
from recollect.generate.transformers import TransformersEngine
from recollect.models import ModelSettings, load
from recollect.train import TrainFound

EPOCHS = 2
SMALL = {"budget": "1 trials", "seeds": 1, "few_shot": 1, "train": {"learning_rate": 1e-3, "epochs": EPOCHS}}


def row(number: int) -> dict[str, object]:
    """Three answers; every third conversation with a system turn."""
    turns = [
        ("user", f"Where is the river {number}?"),
        ("assistant", f"in the land {number % 4}"),
        ("user", f"and the source of the {number}th?"),
        ("assistant", f"in the hills {number % 4}"),
        ("user", f"how long is the {number}th?"),
        ("assistant", f"{number % 7} miles, as far as anybody knows"),
    ]
    turns = [("system", "Be short.")] * (number % 3 == 0) + turns
    return {"id": f"talk-{number}", "messages": [{"role": role, "content": text} for role, text in turns]}


@pytest.fixture(scope="module", name="chat")
def _chat(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Model and data."""
    folder = tmp_path_factory.mktemp("talks")
    path = folder / "chat.jsonl"
    path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(48)), encoding="utf-8")
    return {"model": str(write_chat_model(folder / "model", "ChatML")), "data": str(path)}


def counted(detail: str) -> dict[str, int]:
    """The work of a row of the plan: "8 updates, 20 questions" as numbers."""
    return {name: int(count.replace(",", "")) for count, name in re.findall(r"([\d,]+) ([a-z ]+)", detail)}


def asked(steps: Path, pattern: str) -> int:
    """Questions of the evaluations whose folders fit."""
    files = steps.glob(f"{pattern}/outputs.parquet")
    return sum(pl.read_parquet(file, columns=["fact_id"]).height for file in files)


def test_foretold_work_of_a_small_fit_is_what_is_done(chat: dict[str, str], tmp_path: Path) -> None:
    settings = FitSettings.make(**chat, **SMALL)
    plan = plan_fit(settings, assume=Assume(calibrate=False))
    foretold = {row.what: counted(row.detail) for row in plan.rows}
    fitted = run_fit(settings, tmp_path / "fit")
    found, steps = fitted.found, fitted.path / "steps"
    plain = TrainFound.read(steps / "train-plain")
    assert foretold["plain fine-tuning"] == {
        "updates": plain.steps,
        "tokens trained on": EPOCHS * (plain.answer_tokens + (plain.masked_tokens or 0)),
        "questions": asked(steps, "evaluate-plain"),
    }
    [trial] = found.trials
    assert foretold["trials trained to the end"] == {
        "updates": trial.updates,
        "tokens trained on": foretold["plain fine-tuning"]["tokens trained on"],
        "questions": asked(steps, "search/trials/*/validation-*"),
    }
    assert "trials judged early" not in foretold  # there is no room for four trainings
    assert "a random draw of equal size" not in foretold  # all conversations are read: the same by another seed
    assert plan.training_steps == found.updates
    assert foretold["base asked"]["questions"] == asked(steps, "validate-base")
    assert foretold["base asked with examples"]["questions"] == asked(steps, "validate-few-shot")
    assert foretold["means and repairs"]["questions"] == asked(steps, "evaluate-repair-*")
    tested = {one.name for one in found.contenders} - {"random"}
    assert foretold["the test"]["questions"] == len(tested) * found.sets.test


def test_seeds_and_means_have_room_as_in_the_fit(chat: dict[str, str], tmp_path: Path) -> None:
    settings = FitSettings.make(**chat, few_shot=0, train={"epochs": EPOCHS})
    plan = plan_fit(settings, assume=Assume(calibrate=False))
    steps_of = {row.what: row.steps for row in plan.rows}
    fitted = run_fit(settings, tmp_path / "fit")
    found, steps = fitted.found, fitted.path / "steps"
    assert len(found.trials) == steps_of["trials trained to the end"] / 2
    assert len(list(steps.glob("train-seed*"))) == steps_of["more seeds"] / 3
    made = [*steps.glob("evaluate-mean-*"), *steps.glob("evaluate-repair-*")]
    assert len(made) == steps_of["means and repairs"] / 2
    assert plan.training_steps == found.updates


@pytest.mark.parametrize("shots", [0, 2])
def test_tokens_that_are_counted_are_those_that_are_read(
    chat: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shots: int
) -> None:
    wanted, read = prepare_fit(FitSettings.make(**chat)), list[int]()
    greedy = TransformersEngine.greedy

    def spy(self: TransformersEngine, prompts: Sequence[Sequence[int]], most: int) -> list[list[int]]:
        read.extend(map(len, prompts))
        return greedy(self, prompts, most)

    monkeypatch.setattr(TransformersEngine, "greedy", spy)
    tokenizer = load(ModelSettings.make(model=chat["model"])).tokenizer
    for name in ("choosing", "final"):
        read.clear()
        facts = getattr(wanted.data, name)
        settings = wanted.parts.evaluate.model_copy(update={"parts": "test", "shots": shots})
        run_evaluate(settings, facts, out=tmp_path / name)
        lengths, count = talk_lengths(facts, wanted.parts, tokenizer, shots), len(read)
        assert count == len(facts.part("test"))
        assert asking_work(count, lengths, shots=shots).read == pytest.approx(sum(read))
        once = asking_work(count, lengths, shots=shots, batch=64).read  # a processor reads the examples once a batch
        assert once == pytest.approx(sum(read) - (count - 1) * shots * lengths.shot)
        last = [len(frame_of(tokenizer).prompt(fact.question)) for fact in facts.part("train")]
        assert lengths.question < sum(last) / len(last)  # of all answers, not of the last one of each conversation


def test_each_conversation_is_counted_once_however_many_answers_it_has(chat: dict[str, str]) -> None:
    settings = FitSettings.make(**chat, **SMALL)
    counts = prepare_fit(settings).data.counts
    rows = {row.what: counted(row.detail) for row in plan_fit(settings, assume=Assume(calibrate=False)).rows}
    assert rows["base asked"]["questions"] == counts.validation
    assert rows["plain fine-tuning"]["updates"] == EPOCHS * -(-counts.train // 8)
