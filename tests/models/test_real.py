"""A fetched model is what it is said to be: it loads, knows capitals, and reads texts without loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recollect.models import LoadedModel, ModelSettings, list_models, load
from recollect.models.find import find_model

pytestmark = pytest.mark.real

CAPITALS = {"France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid"}
TEXTS = [
    "The capital of France is Paris.",
    " leading space,  two spaces\nand a line\ttab",
    "Zürich, Đà Nẵng, 東京, \U0001f600; naïve café — “quoted”",
    "def f(x):\n    return x ** 2  # 3.14\n",
]


@pytest.fixture(scope="module", params=["smollm2", "gemma3-270m"])
def held(request: pytest.FixtureRequest, real_model: Callable[[str], Path]) -> LoadedModel:
    real_model(request.param)
    return load(ModelSettings.make(model=request.param, device="cpu", dtype="bfloat16"))


def test_its_name_finds_its_folder_and_the_hashes_are_right(real_model: Callable[[str], Path]) -> None:
    folder = real_model("smollm2")
    assert find_model("smollm2") == folder
    told = {model.name: model for model in list_models()}["smollm2"]
    assert told.state == "fetched", told
    assert 250e6 < told.bytes < 300e6


@pytest.mark.parametrize("country", CAPITALS)
def test_of_four_capitals_it_finds_the_right_one_the_most_probable(held: LoadedModel, country: str) -> None:
    given = held.tokenizer(f"The capital of {country} is", return_tensors="pt")
    first = {name: held.tokenizer(f" {name}", add_special_tokens=False)["input_ids"][0] for name in CAPITALS.values()}
    with torch.inference_mode():
        said = held.model(**given).logits[0, -1]
    assert max(first, key=lambda name: float(said[first[name]])) == CAPITALS[country]


def test_smollm2_says_the_capital_of_france(real_model: Callable[[str], Path]) -> None:
    real_model("smollm2")
    held = load(ModelSettings.make(model="smollm2", device="cpu", dtype="bfloat16"))
    given = held.tokenizer("The capital of France is", return_tensors="pt")
    with torch.inference_mode():
        tokens = held.model.generate(**given, max_new_tokens=8, do_sample=False)
    assert "Paris" in held.tokenizer.decode(tokens[0])


@pytest.mark.parametrize("text", TEXTS)
def test_its_tokenizer_gives_a_text_back(held: LoadedModel, text: str) -> None:
    tokens = held.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert 0 < len(tokens) < len(text.encode())
    assert held.tokenizer.decode(tokens, clean_up_tokenization_spaces=False) == text


def test_the_chat_template_is_there_and_its_marks_are_single_tokens(real_model: Callable[[str], Path]) -> None:
    real_model("smollm2")
    held = load(ModelSettings.make(model="smollm2", device="cpu", dtype="bfloat16"))
    said = held.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Where is Paris?"}], tokenize=False, add_generation_prompt=True
    )
    assert said.endswith("<|im_start|>user\nWhere is Paris?<|im_end|>\n<|im_start|>assistant\n")
    assert len(held.tokenizer("<|im_end|>", add_special_tokens=False)["input_ids"]) == 1
    assert held.tokenizer.eos_token == "<|im_end|>"
