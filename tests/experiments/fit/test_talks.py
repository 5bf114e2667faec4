"""Chats of several turns in a fit: learned whole, asked answer by answer, counted by conversation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers_chat import write_chat_model
from recollect.core.estimates import clustered
from recollect.errors import InputError
from recollect.experiments.fit import FitResult, FitSettings, run_fit
from recollect.experiments.fit.answers import Answers
from recollect.experiments.fit.prepare import prepare_fit
from recollect.experiments.plan import Assume, plan_fit
from recollect.models import ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings
from recollect.train.examples import learn, read_source

COUNT = 36
Row = dict[str, Any]


def row(number: int) -> Row:
    """Two answers; every third with a system turn, every fourth with a thank-you at its end."""
    turns = [
        ("user", f"Where is the river {number}?"),
        ("assistant", f"in the land {number % 4}"),
        ("user", f"and the source of the {number}th?"),
        ("assistant", f"in the hills {number % 4}"),
    ]
    turns = [("system", "Be short.")] * (number % 3 == 0) + turns + [("user", "thanks")] * (number % 4 == 0)
    return {"id": f"talk-{number}", "messages": [{"role": role, "content": text} for role, text in turns]}


def write(folder: Path, rows: list[Row], name: str = "chat.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return str(path)


@dataclass(frozen=True)
class Chat:
    model: str
    data: str

    def settings(self, **values: object) -> FitSettings:
        return FitSettings.make(**{"model": self.model, "data": self.data, **values})


@pytest.fixture(scope="module", name="chat")
def _chat(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    folder = tmp_path_factory.mktemp("talks")
    model = write_chat_model(folder / "model", "Qwen3")
    return Chat(str(model), write(folder, [row(number) for number in range(COUNT)]))


@pytest.fixture(scope="module", name="fitted")
def _fitted(chat: Chat, tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    settings = chat.settings(budget="1 trials", seeds=1, few_shot=1, train={"learning_rate": 1e-2, "epochs": 8})
    return run_fit(settings, tmp_path_factory.mktemp("fit") / "chat")


def test_conversations_are_never_divided_and_each_answer_is_asked(chat: Chat) -> None:
    wanted = prepare_fit(chat.settings())
    choosing, final = wanted.data.choosing, wanted.data.final
    train, validation, test = choosing.part("train"), choosing.part("test"), final.part("test")
    of = [{fact.subject for fact in part} for part in (train, validation, test)]
    assert not of[0] & of[1] | of[0] & of[2] | of[1] & of[2]
    assert set.union(*of) == {f"talk-{number}" for number in range(COUNT)}
    assert len(train) == len(of[0])
    assert (len(validation), len(test)) == (2 * len(of[1]), 2 * len(of[2]))
    assert (wanted.goal, wanted.parts.evaluate.judge, wanted.parts.train.prompt) == ("chat", "token-f1", "chat")
    assert "drawn by whole conversations" in wanted.data.counts.how
    said = " ".join(wanted.data.notes)
    assert "36 conversations with 72 turns of the assistant, 12 with a system turn, 9 that end with the user" in said
    assert f"after the true turns before it, {len(validation) + len(test)} answers of {len(of[1] | of[2])}" in said


def test_the_last_turn_alone_is_asked_where_that_is_wanted(chat: Chat) -> None:
    data = prepare_fit(chat.settings(ask_turns="last")).data
    assert all(fact.id.endswith(("#3", "#4")) for fact in data.final.part("test"))
    assert "ask_turns" not in chat.settings().fingerprint_values()


def test_a_selection_of_conversations_is_learned_as_the_file_itself_is(chat: Chat, tmp_path: Path) -> None:
    train = prepare_fit(chat.settings()).data.choosing.part("train")
    selected = run_select(SelectSettings.make(size="all", level="random"), train, out=tmp_path / "select").path
    order = pl.read_parquet(selected / "selection.parquet")["fact_id"].to_list()
    file = write(tmp_path, [row(int(name.removeprefix("talk-"))) for name in order])
    settings = TrainSettings.make(model=chat.model, prompt="chat")
    base = load(ModelSettings.make(model=chat.model))
    ours, whole = (
        learn(read_source(settings, *where)[1], settings, base.tokenizer, base.model.config)
        for where in ((selected, None), (None, Path(file)))
    )
    assert ours.examples == whole.examples
    assert ours.conversations == len(train)


def test_a_fit_of_chats_is_tested_and_kept(fitted: FitResult) -> None:
    found = fitted.found
    assert {one.name for one in found.contenders} >= {"base", "few-shot", "plain", "ours"}
    assert found.sets.train == found.contender("plain").examples  # type: ignore[union-attr]
    assert found.facts is not None
    assert (found.facts.train, found.facts.test) == (found.sets.train, 22)
    assert found.best.test is not None
    assert found.best.test.n == found.sets.test == 22
    assert (fitted.model / "model.safetensors").is_file()
    learned = pl.read_parquet(fitted.path / "steps" / "select-plain" / "selection.parquet")
    assert learned["turns"].str.contains('"role":"assistant"').all()
    card = (fitted.path / "steps" / "train-plain" / "model" / "README.md").read_text(encoding="utf-8")
    assert f"| conversations | {found.sets.train}" in card


def test_answers_of_one_conversation_are_one_cluster(fitted: FitResult) -> None:
    answers = Answers(fitted.path / "steps" / "test-plain")
    outputs = pl.read_parquet(answers.path / "outputs.parquet").sort("fact_id")
    assert answers.clustered
    assert outputs["conversation"].n_unique() == 11
    score = answers.score()
    assert score == clustered(answers.right().tolist(), outputs["conversation"].to_list())
    assert fitted.found.contender("plain").test == score  # type: ignore[union-attr]


def test_the_plan_counts_answers_as_the_fit_does(chat: Chat) -> None:
    counts = prepare_fit(chat.settings()).data.counts
    rows = {row.what: row.detail for row in plan_fit(chat.settings(), assume=Assume(calibrate=False)).rows}
    assert rows["base asked"] == f"{counts.validation} questions"
    assert rows["the test"] == f"{4 * counts.test} questions"  # no room for a further seed, as a random draw


def test_a_greeting_that_is_learned_is_not_asked_and_the_rest_is(chat: Chat, tmp_path: Path) -> None:
    hello = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    rows = [{**one, "messages": [*hello, *one["messages"]]} for at in range(COUNT) if (one := row(at)) and at % 3]
    rows += [{**one, "id": f"more-{one['id']}"} for one in map(row, range(1, COUNT, 3))]
    data = prepare_fit(chat.settings(data=write(tmp_path, rows))).data
    asked = [fact for part in (data.choosing, data.final) for fact in part.part("test")]
    assert asked
    assert not any(fact.question == "Hi" for fact in asked)
    assert any("asks the same" in note for note in data.notes)


def test_a_split_of_its_own_is_kept(chat: Chat, tmp_path: Path) -> None:
    parts = ["train"] * 16 + ["validation"] * 8 + ["test"] * 12
    rows = [{**row(number), "split": part} for number, part in enumerate(parts)]
    wanted = prepare_fit(chat.settings(data=write(tmp_path, rows)))
    counts = wanted.data.counts
    assert (counts.train, counts.validation, counts.test) == (16, 16, 24)
    assert wanted.inputs["validation"]


def test_what_a_model_without_a_template_cannot_be_given_is_told(chat: Chat) -> None:
    wanted = prepare_fit(FitSettings.make(model="pocket", data=chat.data))
    assert not any(fact.turns for fact in wanted.facts)
    assert any("the last answer of each conversation alone" in note for note in wanted.data.notes)
    plain = prepare_fit(chat.settings(train={"prompt": "plain"}))
    assert not any(fact.turns for fact in plain.facts)


def test_single_questions_are_read_as_ever(chat: Chat, tmp_path: Path) -> None:
    rows = [{"messages": row(number)["messages"][:2]} for number in range(1, 90) if number % 3]
    wanted = prepare_fit(chat.settings(data=write(tmp_path, rows)))
    assert set(wanted.facts.relations) == {"qa"}


def test_rows_that_are_no_conversation_are_refused_or_left_out(chat: Chat, tmp_path: Path) -> None:
    rows = [row(number) for number in range(COUNT)]
    rows[5]["messages"] = rows[5]["messages"][:1]
    path = write(tmp_path, rows)
    with pytest.raises(InputError, match="line 6.*no assistant turn"):
        prepare_fit(chat.settings(data=path))
    wanted = prepare_fit(chat.settings(data=path, train={"bad_rows": "skip"}))
    assert any("1 conversation left out" in note for note in wanted.data.notes)
