"""What `recollect data` counts is what a training learns, token for token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoConfig

from helpers_chat import chat_tokenizer, write_chat_model
from recollect.chat import DataSettings, run_data
from recollect.train import TrainSettings
from recollect.train.examples import learn, read_source

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Capital of Peru?"},
    {"role": "assistant", "content": "Lima", "reasoning_content": "Peru, so"},
    {"role": "user", "content": "And of Chile?"},
    {"role": "assistant", "content": "Santiago", "reasoning_content": "Chile, so"},
]


@pytest.mark.parametrize("family", ["ChatML", "Qwen3", "Llama 3", "Gemma"])
@pytest.mark.parametrize("train_on", ["all", "last"])
def test_the_tokens_are_those_of_a_training(family: str, train_on: str, tmp_path: Path) -> None:
    rows = [{"messages": TURNS}, {"messages": TURNS[1:3]}, {"messages": TURNS[:2]}, {"question": "a?", "answer": "b"}]
    path = tmp_path / "chat.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    model = write_chat_model(tmp_path / "model", family)
    given = {"model": model, "train_on": train_on, "bad_rows": "skip"}
    found = run_data(DataSettings.make(path=path, **given), tmp_path / "out").found
    settings, source = read_source(TrainSettings.make(prompt="chat", **given), None, path)
    learned = learn(source, settings, chat_tokenizer(family), AutoConfig.from_pretrained(model))
    masks = [sum(mask) for _, mask in learned.examples]
    lengths = [len(ids) for ids, _ in learned.examples]
    assert (found.trained_tokens, found.masked_tokens) == (sum(masks), sum(lengths) - sum(masks))
    assert found.kept == learned.conversations
    refused = {"refused by the model's chat template": 1} if family == "Gemma" else {}  # it has no system turn
    assert found.dropped == {"no assistant turn": 1, **refused}
