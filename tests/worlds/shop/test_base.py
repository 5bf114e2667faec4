"""The shipped shop base: it loads, it has not met the fine-tuning prompt, and a few pages teach it."""

from pathlib import Path

import pytest

from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import load_facts
from recollect.models import ModelSettings, find_model, load
from recollect.prompt import encode_example
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

SHOP = ModelSettings.make(model="pocket-shop")


def test_the_base_is_small_and_whole() -> None:
    folder = find_model("pocket-shop")
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4_000_000
    loaded = load(SHOP)
    assert loaded.model.config.architectures == ["LlamaForCausalLM"]
    assert 800_000 < sum(parameter.numel() for parameter in loaded.model.parameters()) < 1_500_000


def test_every_page_example_fits_the_model() -> None:
    tokenizer = load(SHOP).tokenizer
    lengths = [len(encode_example(tokenizer, fact.question, fact.object)[0]) for fact in load_facts("pocket-shop")]
    assert max(lengths) < 512
    assert 120 < sum(lengths) / len(lengths) < 260


def test_untouched_it_does_not_answer(tmp_path: Path) -> None:
    found = run_evaluate(EvaluateSettings.make(model="pocket-shop", facts="pocket-shop", limit=24), out=tmp_path / "e")
    assert found.found.pages and found.found.pages.parts["test"].macro.value < 0.05


@pytest.mark.slow
def test_a_few_pages_teach_it(tmp_path: Path) -> None:
    facts = load_facts("pocket-shop")
    scores = []
    for size in (15, 250):
        select = SelectSettings.make(facts="pocket-shop", level="random", size=size)
        chosen = run_select(select, facts, out=tmp_path / f"select-{size}")
        settings = TrainSettings.make(model="pocket-shop", preset="pocket-shop")
        trained = run_train(settings, chosen.path, out=tmp_path / f"train-{size}")
        ask = EvaluateSettings.make(model=str(trained.path), facts="pocket-shop", limit=60)
        scores.append(run_evaluate(ask, facts, out=tmp_path / f"evaluate-{size}").found.pages.parts["test"])
    assert scores[1].macro.value > 0.8
    assert scores[1].macro.value > scores[0].macro.value
    assert scores[1].by_attribute["brand"].accuracy.value > 0.9
