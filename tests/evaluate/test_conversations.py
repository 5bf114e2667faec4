"""Held-out conversations: asked up to their last answer in the model's template, judged against it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers_chat import write_chat_model
from recollect.chat.render import render
from recollect.conversation import Conversation, Turn
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.evaluate.conversations import spoken
from recollect.models import ModelSettings, load
from recollect.train import TrainSettings, run_train

ROWS = [
    {
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Capital of Peru?"},
            {"role": "assistant", "content": "Lima."},
            {"role": "user", "content": "And of Chile, with its country?"},
            {"role": "assistant", "content": "Santiago, the capital of Chile, in the middle of it."},
        ]
    },
    {"messages": [{"role": "user", "content": "Capital of Fiji?"}, {"role": "assistant", "content": "Suva"}]},
]


def data(folder: Path, rows: list[dict]) -> Path:
    path = folder / "talks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chat_model(tmp_path_factory.mktemp("chat") / "model", "Qwen3")


def test_a_model_that_learned_the_conversations_says_their_last_answers(model: Path, tmp_path: Path) -> None:
    path = data(tmp_path, ROWS)
    how = TrainSettings.make(model=str(model), learning_rate=1e-2, batch_size=2, max_steps=150)
    trained = run_train(how, data=path, out=tmp_path / "train")
    result = run_evaluate(EvaluateSettings.make(model=str(trained.path), data=path), out=tmp_path / "asked")
    outputs, found = result.outputs(), result.found
    last = [row["messages"][-1]["content"] for row in ROWS]
    assert [text.strip() for text in outputs["output"]] == last
    assert outputs["reasoning"].str.contains("</think>").all()  # which the template writes, and the model learned
    assert outputs["question"].to_list() == [row["messages"][-2]["content"] for row in ROWS]
    assert (found.judge, found.accuracy["test"].score.value, found.accuracy["test"].n) == ("token-f1", 1, 2)
    assert found.sources["facts"] == str(path)
    # the prompt is what the training had before the last answer, the first answer in it
    tokenizer = load(ModelSettings.make(model=str(trained.path))).tokenizer
    talk = Conversation("x", tuple(Turn(one["role"], one["content"]) for one in ROWS[0]["messages"]), train_on=(4,))
    [example] = render(tokenizer, talk)
    assert found.max_new_tokens == max(16, sum(example.mask) + 8)
    untaught = run_evaluate(EvaluateSettings.make(model=str(model), data=path), out=tmp_path / "base").found
    assert untaught.accuracy["test"].score.value < 1


def test_what_a_model_thinks_is_no_part_of_its_answer() -> None:
    assert spoken("<think>\nLima?\n</think>\n\nSuva") == ("\n\nSuva", "<think>\nLima?\n</think>")
    assert spoken("Lima?</think>Suva") == ("Suva", "Lima?</think>")  # where the prompt opened it
    assert spoken("<think>Lima or") == ("", "<think>Lima or")
    assert spoken("Suva") == ("Suva", "")


def test_parts_of_the_data_decide_what_is_asked(model: Path, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "split": "train"}, {**ROWS[1], "split": "test"}]
    settings = EvaluateSettings.make(model=str(model), data=data(tmp_path, rows), max_new_tokens=4)
    assert run_evaluate(settings, out=tmp_path / "a").outputs()["object"].to_list() == ["Suva"]
    both = settings.model_copy(update={"parts": "test,train"})
    assert run_evaluate(both, out=tmp_path / "b").outputs()["part"].to_list() == ["test", "train"]


def test_a_conversation_without_a_last_answer_is_left_out_and_counted(model: Path, tmp_path: Path) -> None:
    call = {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}
    rows = [ROWS[1], {"messages": [{"role": "user", "content": "Do it"}, {**call, "content": ""}]}]
    settings = EvaluateSettings.make(model=str(model), data=data(tmp_path, rows), max_new_tokens=4)
    result = run_evaluate(settings, out=tmp_path / "a")
    assert result.outputs().height == 1
    assert any(note.startswith("1 of 2 conversations has no answer") for note in result.found.notes)
    settings = settings.model_copy(update={"data": str(data(tmp_path, rows[1:]))})
    with pytest.raises(InputError, match="none of 1 conversation ends in an answer"):
        run_evaluate(settings, out=tmp_path / "b")


def test_what_does_not_go_together_is_refused(base_folder: Path, model: Path, tmp_path: Path) -> None:
    path = data(tmp_path, ROWS)
    with pytest.raises(InputError, match="asked in a chat template, but .* has none"):
        run_evaluate(EvaluateSettings.make(model=str(base_folder), data=path), out=tmp_path / "a")
    with pytest.raises(InputError, match="has none, or prompt is plain"):
        run_evaluate(EvaluateSettings.make(model=str(model), data=path, prompt="plain"), out=tmp_path / "b")
    with pytest.raises(InputError, match="shots are training facts"):
        run_evaluate(EvaluateSettings.make(model=str(model), data=path, shots=2), out=tmp_path / "c")
    with pytest.raises(InputError, match="no such file"):
        run_evaluate(EvaluateSettings.make(model=str(model), data=tmp_path / "none.jsonl"), out=tmp_path / "d")
    other = data(tmp_path, ROWS[1:])
    first = run_evaluate(EvaluateSettings.make(model=str(model), data=other, max_new_tokens=2), root=tmp_path).path
    data(tmp_path, ROWS)
    again = run_evaluate(EvaluateSettings.make(model=str(model), data=other, max_new_tokens=2), root=tmp_path).path
    assert first != again  # other content, another step
