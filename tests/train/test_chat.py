"""Training on conversations, and on facts in a chat template: the same ids when it is asked, and what is said of it."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import torch

from helpers_chat import ONE, SYSTEM, TWO, chat_tokenizer, write_chat_model
from helpers_world import Command
from recollect import DataSettings, run_data, run_evaluate, run_restore, run_select, run_train
from recollect.chat.asking import asked_for, settled, trained_in
from recollect.chat.frame import frame_of
from recollect.chat.render import render
from recollect.errors import InputError, RecollectWarning
from recollect.evaluate import EvaluateSettings
from recollect.facts import Fact, FactSet
from recollect.models import ModelRef, ModelSettings, load, resolve_name
from recollect.restore import RestoreSettings
from recollect.select import SelectSettings
from recollect.train import TrainSettings
from recollect.train.auto import WIDTH, factors, plan
from recollect.train.examples import learn, read_source

_CAPITALS = (("Peru", "Lima"), ("Chile", "Santiago"), ("Fiji", "Suva"), ("Oman", "Muscat"))


@dataclass(frozen=True)
class Chatty:
    model: Path
    facts: FactSet
    selection: Path
    file: Path


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Chatty:
    folder = tmp_path_factory.mktemp("chatty")
    model = write_chat_model(folder / "model", "Qwen3")
    facts = FactSet(
        tuple(
            Fact("P36", place, city, f"What is the capital of {place}?", split=split)
            for place, city in _CAPITALS
            for split in ("train",)
        ),
        "capitals",
    )
    selection = run_select(SelectSettings.make(level="random", size="all"), facts, out=folder / "select").path
    file = folder / "talks.jsonl"
    rows = [{"messages": talk.as_messages()} for talk in (ONE, TWO, SYSTEM)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Chatty(model, facts, selection, file)


def _settings(chatty: Chatty, **values: object) -> TrainSettings:
    return TrainSettings.make(**{"model": str(chatty.model), "learning_rate": 1e-2, "batch_size": 4} | values)


def test_facts_are_learned_and_asked_in_the_template(chatty: Chatty, tmp_path: Path) -> None:
    """All answers come back from the same ids; asked plainly, the model was never trained on the prompt."""
    trained = run_train(_settings(chatty, max_steps=150), chatty.selection, out=tmp_path / "train")
    assert trained.found.prompt == "chat" and trained.found.masked_tokens
    found = {}
    for prompt in ("auto", "chat", "plain"):
        settings = EvaluateSettings.make(model=str(trained.path), parts="train", prompt=prompt)
        found[prompt] = run_evaluate(settings, chatty.facts, out=tmp_path / prompt)
    assert found["auto"].found.prompt == "chat" and found["plain"].found.prompt == "plain"
    assert found["auto"].outputs()["output"].to_list() == [city for _, city in _CAPITALS]
    assert found["auto"].outputs().equals(found["chat"].outputs())
    assert not found["plain"].outputs()["contains"].all()


def test_a_model_is_asked_as_it_was_trained(chatty: Chatty, tmp_path: Path) -> None:
    plain = run_train(_settings(chatty, max_steps=1, prompt="plain"), chatty.selection, out=tmp_path / "train")
    chat = run_train(_settings(chatty, max_steps=1, method="lora"), chatty.selection, out=tmp_path / "lora")
    restored = run_restore(
        RestoreSettings.make(percent=20), str(chatty.model), str(plain.path), out=tmp_path / "restored"
    )
    for path, told in ((plain.path, "plain"), (chat.path, "chat"), (restored.path, "plain")):
        model = resolve_name(path)
        assert settled("auto", model) == trained_in(model.folder) == told
    shutil.copytree(plain.model_folder, tmp_path / "copied")
    assert settled("auto", resolve_name(tmp_path / "copied")) == "chat"  # nobody knows any more


def test_without_a_template_nothing_is_new(chatty: Chatty, tmp_path: Path) -> None:
    shutil.copytree(chatty.model, bare := tmp_path / "bare")
    for file in bare.glob("chat_template*"):
        file.unlink()
    model = ModelRef.at(bare)
    assert settled("auto", model) == settled("plain", model) == "auto" and settled("auto", None) == "auto"
    with pytest.raises(InputError, match="has no chat template.*--prompt plain"):
        settled("chat", model)
    values = [TrainSettings.make(model=str(bare), **some) for some in ({}, {"prompt": "plain"})]
    paths = {run_train(one.model_copy(update={"max_steps": 0}), chatty.selection, root=tmp_path).path for one in values}
    [path] = paths
    assert "prompt" not in json.loads((path / "manifest.json").read_text())["settings"]
    templated = run_train(_settings(chatty, max_steps=0), chatty.selection, out=tmp_path / "templated").path
    assert json.loads((templated / "manifest.json").read_text())["settings"]["prompt"] == "chat"


def test_a_paper_s_preset_asks_plainly_as_the_paper_did(chatty: Chatty) -> None:
    model = resolve_name(chatty.model)
    assert settled(TrainSettings.make(preset="C").asked_in(), model) == "plain"
    assert settled(TrainSettings.make(preset="60-data-points", prompt="chat").asked_in(), model) == "chat"
    assert settled(TrainSettings.make(preset="pocket").asked_in(), model) == "chat"
    own = {"prompt_template": "Q: {question} A:"}  # who writes a plain prompt asks for it
    assert settled(TrainSettings.make(**own).asked_in(), model) == "plain"
    assert asked_for(EvaluateSettings.make(**own)) == "plain" and asked_for(EvaluateSettings()) == "auto"
    assert settled(asked_for(EvaluateSettings.make(**own, prompt="chat")), model) == "chat"


def test_conversations_are_learned_by_the_model_s_own_template(chatty: Chatty, tmp_path: Path) -> None:
    trained = run_train(_settings(chatty, max_steps=1), data=chatty.file, out=tmp_path / "train")
    tokenizer = load(ModelSettings.make(model=str(chatty.model))).tokenizer
    expected = [example for talk in (ONE, TWO, SYSTEM) for example in render(tokenizer, talk)]
    found = trained.found
    assert (found.conversations, found.examples) == (3, len(expected)) == (3, 5)
    assert found.answer_tokens == sum(sum(example.mask) for example in expected)
    assert found.masked_tokens == sum(len(example.ids) for example in expected) - found.answer_tokens
    assert any("3 conversations became 5 examples" in note for note in found.notes)
    manifest = json.loads((trained.path / "manifest.json").read_text())
    assert manifest["metrics"]["sources"]["data"] == str(chatty.file) and "selection" not in manifest["inputs"]
    last = run_train(_settings(chatty, max_steps=1, train_on="last"), data=chatty.file, out=tmp_path / "last")
    assert last.found.examples == 3 and last.found.answer_tokens < found.answer_tokens
    assert manifest["inputs"] == json.loads((last.path / "manifest.json").read_text())["inputs"]
    assert manifest["fingerprint"] != json.loads((last.path / "manifest.json").read_text())["fingerprint"]


def test_what_a_data_step_looked_at_is_what_is_learned(chatty: Chatty, tmp_path: Path) -> None:
    file = tmp_path / "talks.jsonl"
    shutil.copyfile(chatty.file, file)
    looked = run_data(
        DataSettings.make(path=str(file), model=str(chatty.model), train_on="last"), out=tmp_path / "data"
    )
    trained = run_train(_settings(chatty, max_steps=1), data=looked.path, out=tmp_path / "train")
    assert trained.found.answer_tokens == looked.found.trained_tokens
    assert trained.found.masked_tokens == looked.found.masked_tokens
    assert trained.found.sources["data"] == str(file)
    every = run_train(_settings(chatty, max_steps=1, train_on="all"), data=looked.path, out=tmp_path / "all")
    assert every.found.answer_tokens > trained.found.answer_tokens
    file.write_text(file.read_text() + file.read_text())
    with pytest.raises(InputError, match="has changed since"):
        run_train(_settings(chatty), data=looked.path, root=tmp_path)


def test_conversations_are_learned_until_they_are_said(chatty: Chatty, tmp_path: Path) -> None:
    trained = run_train(_settings(chatty, max_steps=150), data=chatty.file, out=tmp_path / "train")
    loaded = load(ModelSettings.make(model=str(trained.path)))
    for example in render(loaded.tokenizer, SYSTEM):
        start = example.mask.index(1)
        with torch.inference_mode():
            said = loaded.model(input_ids=torch.tensor([example.ids])).logits[0].argmax(-1).tolist()
        assert said[start - 1 : -1] == example.ids[start:]  # the end of the turn too


def test_a_model_without_a_template_learns_single_questions_alone(chatty: Chatty, tmp_path: Path) -> None:
    settings = _settings(chatty, prompt="plain")
    tokenizer, config = chat_tokenizer("Qwen3"), load(ModelSettings.make(model=str(chatty.model))).model.config
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"instruction": "Capital of Peru?", "output": "Lima"}) + "\n", encoding="utf-8")
    learned = learn(read_source(settings, None, pairs)[1], settings, tokenizer, config)
    [(ids, mask)] = learned.examples
    assert tokenizer.decode(ids).endswith("<|question|> Capital of Peru? <|answer|> Lima<|im_end|>") and sum(
        mask
    ) < len(ids)
    with pytest.raises(InputError, match=r"talks.jsonl.*more than one question and one answer"):
        learn(read_source(settings, None, chatty.file)[1], settings, tokenizer, config)


def test_what_cannot_be_learned_is_said_by_name(chatty: Chatty, tmp_path: Path) -> None:
    for some in ({}, {"selection": chatty.selection, "data": chatty.file}):
        with pytest.raises(InputError, match="give one of --selection .* and --data"):
            run_train(_settings(chatty), **some)
    with pytest.raises(InputError, match=r"talks.jsonl: line 3 has \d+ tokens; max_length is 40, and \d of 5 examples"):
        run_train(_settings(chatty, max_length=40), data=chatty.file, root=tmp_path)
    bad = tmp_path / "bad.jsonl"
    bad.write_text(chatty.file.read_text() + json.dumps({"messages": [{"role": "user", "content": "?"}]}) + "\n")
    with pytest.raises(InputError, match="line 4"):
        run_train(_settings(chatty), data=bad, root=tmp_path)
    skipped = run_train(_settings(chatty, max_steps=0, bad_rows="skip"), data=bad, out=tmp_path / "skipped")
    assert skipped.found.conversations == 3 and "1 conversation was left out" in skipped.found.notes[0]
    test = tmp_path / "test.jsonl"
    test.write_text(json.dumps({"messages": ONE.as_messages(), "split": "test"}), encoding="utf-8")
    with pytest.raises(InputError, match="no conversation in its train part"):
        run_train(_settings(chatty), data=test, root=tmp_path)


@pytest.mark.parametrize(
    ("schedule", "ratio", "steps"), [("cosine", 0.3, 5), ("linear", 0.9, 2), ("constant", 0.1, 1), ("linear", 0.0, 3)]
)
def test_the_rates_that_are_foretold_are_the_trainer_s(
    chatty: Chatty, tmp_path: Path, schedule: str, ratio: float, steps: int
) -> None:
    settings = _settings(chatty, schedule=schedule, warmup_ratio=ratio, max_steps=steps, learning_rate=1e-4)
    foretold = [1e-4 * factor for factor in factors(settings, steps)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecollectWarning)  # that so little can hardly move the model
        trained = run_train(settings, chatty.selection, out=tmp_path / "train")
    log = pl.read_parquet(trained.path / "log.parquet")
    assert log["learning_rate"].to_list() == pytest.approx(foretold, abs=1e-12)


def test_a_training_that_changes_nothing_says_so_before_it_starts(chatty: Chatty, tmp_path: Path) -> None:
    """Six examples at batch 8 are one update, and with warm-up its rate is 0."""
    settings = TrainSettings.make(learning_rate=1e-3, epochs=1, warmup_ratio=0.1)
    text = plan(settings, 6, WIDTH).warning
    assert "will change nothing: its one update has rate 0" in text and "6 examples at batch_size 8 has 1" in text
    assert "--warmup-ratio 0" in text
    assert "change nothing" not in plan(settings.model_copy(update={"warmup_ratio": 0.0}), 6, WIDTH).warning
    assert "change nothing" not in plan(settings, 9, WIDTH).warning and not plan(settings, 80, 576).warning
    settings = _settings(chatty, batch_size=8, epochs=1, warmup_ratio=0.1)
    with pytest.warns(RecollectWarning, match="will change nothing"):
        trained = run_train(settings, chatty.selection, out=tmp_path / "train")
    assert trained.found.weights_moved == 0 and "change nothing" in trained.found.warnings[-1]


def test_the_command_trains_on_a_chat_file(
    chatty: Chatty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(monkeypatch, capsys)
    given = ["train", "--model", str(chatty.model), "--data", str(chatty.file), "--max-steps", "1", "--json"]
    found = command(*given, "--out", str(tmp_path / "t"))
    assert found.code == 0 and found.json["conversations"] == 3 and found.json["prompt"] == "chat"


def test_thinking_is_switched_off_for_facts_alone(chatty: Chatty) -> None:
    tokenizer = chat_tokenizer("Qwen3")
    assert tokenizer.decode(frame_of(tokenizer).prompt("Who?")).endswith("<think>\n\n</think>\n\n")
    [example] = render(tokenizer, ONE)
    learned = [token for token, on in zip(example.ids, example.mask, strict=True) if on]
    assert tokenizer.decode(learned).startswith("<think>")
