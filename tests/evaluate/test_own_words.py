"""A base goes on with the asked texts by itself; what of its words another model still expects."""

from pathlib import Path

import polars as pl
import pytest
import torch

from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.evaluate.own_words import LONGEST, expected_of, own_words
from recollect.facts import Fact, FactSet
from recollect.generate import TransformersEngine
from recollect.models import ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train


def settings(model: object, **values: object) -> EvaluateSettings:
    return EvaluateSettings.make(model=str(model), parts="test", **values)


@pytest.fixture(scope="module", name="tuned")
def _tuned(base_folder: Path, facts: FactSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned to be sure of some words."""
    root = tmp_path_factory.mktemp("tuned")
    chosen = run_select(SelectSettings(size=8, level="random"), facts, root=root)
    how = TrainSettings(model=str(base_folder), learning_rate=1e-2, epochs=80, batch_size=8)
    return run_train(how, chosen.path, root=root).path


@pytest.fixture(scope="module", name="spoken")
def _spoken(tuned: Path, facts: FactSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evaluation of a model that has gone on with four texts."""
    out = tmp_path_factory.mktemp("spoken") / "tuned"
    return run_evaluate(settings(tuned, own_words=4), facts, out=out).path


def by_hand(model: object, words: pl.DataFrame) -> dict[str, float]:
    """Item -> the probability that a plain forward pass gives the token."""
    loaded = load(ModelSettings.make(model=str(model)))
    found = {}
    for name, _, text, said in words.iter_rows():
        with torch.no_grad():
            logits = loaded.model(torch.tensor([[*text, *said]])).logits[0].float()
        shares = logits.softmax(-1)
        for place, token in enumerate(said):
            found[f"{name} {place}"] = float(shares[len(text) + place - 1, token])
    return found


def test_a_model_goes_on_greedily_with_the_questions_as_they_are(spoken: Path, tuned: Path, facts: FactSet):
    words = pl.read_parquet(spoken / "words.parquet")
    assert 0 < words.height <= 4
    loaded = load(ModelSettings.make(model=str(tuned)))
    engine = TransformersEngine(loaded)
    for name, part, text, said in words.iter_rows():
        assert part == "test"
        assert [text] == engine.encode([facts[name].question])  # no prompt around it
        prompt = torch.tensor([text])
        whole = loaded.model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=LONGEST, do_sample=False
        )
        expected = whole[0, len(text) :].tolist()
        assert said == expected[: len(said)]
        assert len(said) in (LONGEST, len(expected), len(expected) - 1)  # without the end token


@pytest.mark.parametrize("which", ["base", "tuned"])
def test_the_probability_of_each_word_is_that_of_a_plain_forward_pass(
    which: str, spoken: Path, base_folder: Path, tuned: Path, facts: FactSet, tmp_path: Path
):
    words = pl.read_parquet(spoken / "words.parquet")
    model = base_folder if which == "base" else tuned
    found = run_evaluate(settings(model, words_of=spoken), facts, out=tmp_path / "asked").expected()
    assert found is not None
    assert dict(found.select("item", "probability").iter_rows()) == pytest.approx(by_hand(model, words), rel=1e-4)
    assert found["unit"].unique().sort().to_list() == sorted(words["fact_id"])
    own = pl.read_parquet(spoken / "expected.parquet")["probability"]
    assert (own >= 0.9).any()
    change = float((own - found["probability"]).abs().max())  # type: ignore[arg-type]
    assert (change < 1e-6) == (which == "tuned"), "a model gives its own words what it gave them; another one does not"


def test_words_are_part_of_an_evaluation_only_where_they_are_asked_for(
    spoken: Path, base_folder: Path, facts: FactSet, tmp_path: Path
):
    plain = run_evaluate(settings(base_folder), facts, out=tmp_path / "plain")
    assert plain.expected() is None
    assert not (plain.path / "words.parquet").exists()
    assert settings(base_folder).fingerprint_values() == settings(base_folder, words_of=spoken).fingerprint_values()
    with pytest.raises(InputError, match="own-words"):
        run_evaluate(settings(base_folder, words_of=plain.path), facts, out=tmp_path / "none")


def test_other_words_are_another_evaluation(spoken: Path, base_folder: Path, facts: FactSet, tmp_path: Path):
    more = run_evaluate(settings(base_folder, own_words=5), facts, root=tmp_path)
    found = {
        run_evaluate(settings(base_folder, **how), facts, root=tmp_path).path.name
        for how in ({}, {"words_of": spoken}, {"words_of": more.path})
    }
    assert len(found) == 3


def test_texts_are_each_read_once_and_none_is_too_long(base_folder: Path):
    engine = TransformersEngine(load(ModelSettings.make(model=str(base_folder))))
    long = "ba " * 5000
    asked = [Fact("r", name, "x", question, split="test") for name, question in (("a", long), ("b", long), ("c", "ba"))]
    words = own_words(engine, asked, 10, 0)
    assert words.height <= 2
    assert engine.context is None or max(map(len, words["text"].to_list())) + LONGEST <= engine.context
    assert expected_of(engine, words).height == sum(map(len, words["words"].to_list()))
    assert own_words(engine, [], 10, 0).height == expected_of(engine, words[:0]).height == 0
