import json

import polars as pl
import pytest
import torch

from recollect.core.texts import read_texts
from recollect.drift import DriftSettings
from recollect.drift.compare import known_accuracy
from recollect.drift.sides import evaluate_settings
from recollect.drift.tokens import general_loss, general_text
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings
from recollect.models import ModelSettings, load
from recollect.restore import LadderSettings
from recollect.shipped import SHIPPED
from recollect.worlds.quiz import make_world
from recollect.worlds.quiz.corpus import render


@pytest.fixture(scope="module")
def pocket():
    return load(ModelSettings())


def test_general_loss_is_the_models_own_mean_loss_per_token(pocket):
    texts = ["The capital of Ulm is Oslo.", "Born in Ulm.", ""]
    total, count = 0.0, 0
    for text in texts[:2]:
        ids = torch.tensor([pocket.tokenizer.encode(text)])
        with torch.inference_mode():
            total += pocket.model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    assert general_loss(pocket, texts) == pytest.approx(total / count, rel=1e-4)
    assert general_loss(pocket, []) is None


def test_the_pocket_finds_its_held_out_text_likely_but_not_other_words(pocket):
    held_out = general_loss(pocket, read_texts("pocket")[:40])
    shuffled = [" ".join(reversed(text.split())) for text in read_texts("pocket")[:40]]
    assert held_out < 1.2 < general_loss(pocket, shuffled)


def test_the_held_out_text_is_small_and_no_document_of_the_training_corpus():
    documents = read_texts("pocket")
    assert len(documents) == 300
    assert (SHIPPED["pocket"].model / "heldout.txt").stat().st_size < 60_000
    assert not any("?" in document for document in documents)
    seen = set(render(make_world(0), 0))
    several = [document for document in documents if document.count(".") > 1]  # one sentence may well come twice
    assert several and sum(document in seen for document in several) == 0


def test_text_is_read_from_txt_and_jsonl(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": "one"}) + "\n\n" + json.dumps({"text": "two", "id": 1}) + "\n"
    )
    assert read_texts(str(tmp_path / "a.txt")) == read_texts(str(tmp_path / "a.jsonl")) == ["one", "two"]
    assert read_texts("") == []


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", b"one", "must end in .txt"),
        ("a.txt", b"\n \n", "holds no text"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.jsonl", b"{", "line 1: not valid JSON"),
        ("a.jsonl", b'{"text": "x"}\n{"txt": "x"}', 'line 2: expected an object with the key "text"'),
    ],
)
def test_text_that_cannot_be_read_is_named(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=match):
        read_texts(str(tmp_path / name))


def test_a_missing_text_is_named():
    with pytest.raises(InputError, match="no file nowhere.txt"):
        read_texts("nowhere.txt")


def test_the_pocket_brings_its_text_and_other_models_bring_none(tmp_path):
    assert len(general_text(DriftSettings(), "pocket")) == 300
    assert len(general_text(DriftSettings(), str(SHIPPED["pocket"].model))) == 300
    (tmp_path / "model").mkdir()
    assert general_text(DriftSettings(), str(tmp_path / "model")) == []


def test_known_facts_are_those_of_level_three_and_four_of_every_part():
    outputs = pl.DataFrame(
        {
            "part": ["test", "test", "ood", "ood", "test"],
            "level": [4, 3, 4, 2, None],
            "contains": [True, False, True, True, True],
        }
    )
    found = known_accuracy(outputs)
    assert found.n == 3 and found.value == pytest.approx(2 / 3)
    assert 0 < found.low < found.value < found.high < 1
    assert known_accuracy(outputs.filter(pl.col("level") == 2)) is None
    twice = pl.concat([outputs.with_columns(fact_id=pl.format(f"{at}-{{}}", pl.int_range(5))) for at in "ab"])
    subjects = twice.with_columns(subject=pl.col("fact_id").str.slice(2))
    wide, narrow = known_accuracy(subjects), known_accuracy(twice)
    assert (wide.low, wide.high) == pytest.approx((found.low, found.high))
    assert wide.low < narrow.low


@pytest.mark.parametrize("kind", [DriftSettings, LadderSettings])
def test_what_an_evaluation_and_a_comparison_both_ask_is_one_setting(kind):
    """Of the same type, checked alike and of the same default, but for the limit, which an evaluation has not."""
    ours, theirs = kind.model_fields, EvaluateSettings.model_fields
    shared = ours.keys() & theirs.keys()
    assert {"facts", "levels", "seed", "max_new_tokens", "least_per_level", "batch_size", "prompt_template"} <= shared
    for name in shared:
        checks = [repr((field.annotation, field.metadata)) for field in (ours[name], theirs[name])]
        assert checks[0] == checks[1], name
        assert name == "limit" or ours[name].default == theirs[name].default, name
    asked = evaluate_settings(
        kind.make(limit=3, seed=5, max_new_tokens=7, batch_size=2, prompt_template="Q {question}")
    )
    assert (asked.limit, asked.seed, asked.max_new_tokens, asked.batch_size) == (3, 5, 7, 2)
    assert asked.prompt_template == "Q {question}" and asked.facts == "pocket" and asked.revision is None
