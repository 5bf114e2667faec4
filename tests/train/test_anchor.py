"""An anchored training: what its loss is, that it holds, and what it does not go with."""

import math

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from recollect.errors import InputError
from recollect.models import ModelSettings, load, resolve
from recollect.prompt import encode_example
from recollect.train import TrainSettings, run_train, run_train_until
from recollect.train.anchor import anchor_texts, divergence
from recollect.train.stack import why_not_together

WEIGHT = 0.7


@pytest.fixture(name="texts")
def _texts(tmp_path):
    path = tmp_path / "general.txt"
    path.write_text(
        "\n".join(f"the river {name} flows past {name}" for name in ("ulm", "bonn", "graz", "linz", "bern"))
    )
    return str(path)


def settings(base_folder, **values):
    given = {"learning_rate": 2e-2, "batch_size": 8, "schedule": "constant", "lora_dropout": 0.0, "prompt": "plain"}
    return TrainSettings(model=str(base_folder), **{**given, **values})


def losses(result):
    return pl.read_parquet(result.path / "log.parquet")["loss"].to_list()


def far(result, base_folder):
    """How far the model has gone from its base on some text."""
    text = "<|question|> who is where <|answer|> there"
    sides = [load(ModelSettings(model=str(one))) for one in (base_folder, result.path)]
    ids = torch.tensor([sides[0].tokenizer(text)["input_ids"]])
    with torch.no_grad():
        base, own = (side.model(ids).logits[0] for side in sides)
    return float(divergence(base, own).mean())


def test_the_divergence_of_two_distributions_by_hand():
    base, own = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log(), torch.tensor([[0.25, 0.75], [0.9, 0.1]]).log()
    by_hand = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert divergence(base + 3, own - 2).tolist() == pytest.approx([by_hand, 0.0], abs=1e-6)
    assert divergence(base.bfloat16(), own.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_loss_is_the_answers_and_the_weighted_divergence(base_folder, eight, tmp_path, method):
    """The second update's, against one example at a time without padding; both updates see all eight examples."""
    made = settings(base_folder, method=method, anchor=WEIGHT)
    one = run_train(made.model_copy(update={"max_steps": 1}), eight, root=tmp_path)
    pieces = made.model_copy(update={"max_steps": 2, "gradient_accumulation": 4})
    two, split = (run_train(each, eight, root=tmp_path) for each in (made.model_copy(update={"max_steps": 2}), pieces))
    sides = [load(ModelSettings(model=str(where))) for where in (base_folder, one.path)]
    answer = apart = answers = tokens = 0.0
    for row in pl.read_parquet(eight / "selection.parquet").iter_rows(named=True):
        ids, mask = encode_example(sides[0].tokenizer, row["question"], row["object"])
        with torch.no_grad():
            base, own = (side.model(torch.tensor([ids])).logits[0].log_softmax(-1) for side in sides)
        apart += float(sum((base[at].exp() * (base[at] - own[at])).sum() for at in range(len(ids) - 1)))
        answer -= float(sum(own[at, ids[at + 1]] for at in range(len(ids) - 1) if mask[at + 1]))
        answers, tokens = answers + sum(mask[1:]), tokens + len(ids) - 1
    assert apart / tokens > 1e-3
    assert losses(two)[1] == pytest.approx(answer / answers + WEIGHT * apart / tokens, rel=1e-4)
    assert losses(split)[1] == pytest.approx(losses(two)[1], rel=1e-4)
    assert any(f"held to the base by {WEIGHT} x KL(base || model) on the examples" in note for note in two.found.notes)


def test_an_anchor_holds(base_folder, eight, texts, tmp_path):
    """The heavier, the closer to the base; on text as well."""
    ways = [{}, {"anchor": 1.0}, {"anchor": 100.0}, {"anchor": 100.0, "anchor_on": "text", "anchor_text": texts}]
    made = [settings(base_folder, method="lora", max_steps=6, **way) for way in ways]
    gone = [far(run_train(each, eight, root=tmp_path), base_folder) for each in made]
    assert gone[0] > gone[1] > gone[2]
    assert gone[3] < gone[0]


def test_the_first_update_of_an_anchored_training_is_that_of_a_free_one(base_folder, eight, tmp_path):
    """The base against itself; of dropout the same draws."""
    made = settings(base_folder, method="lora", max_steps=1, lora_dropout=0.3)
    free, held = (run_train(made.model_copy(update={"anchor": x}), eight, root=tmp_path) for x in (0.0, 5.0))
    assert losses(held) == pytest.approx(losses(free), rel=1e-6)


def test_no_anchor_is_what_there_was_before(base_folder):
    made = settings(base_folder)
    assert made.fingerprint_values() == settings(base_folder, anchor=0.0, anchor_text="a.txt").fingerprint_values()
    assert "anchor" not in made.fingerprint_values()
    assert settings(base_folder, anchor=0.1).fingerprint_values()["anchor"] == 0.1


def test_a_paused_training_reads_the_same_texts(base_folder, selection, texts, tmp_path):
    made = settings(base_folder, max_steps=4, anchor=1.0, anchor_on="text", anchor_text=texts, save_every=1)
    whole = run_train(made, selection, out=tmp_path / "whole")
    run_train_until(made, selection, 0.5, out=tmp_path / "paused")
    resumed = run_train(made, selection, out=tmp_path / "paused")
    assert losses(resumed) == losses(whole)
    one, two = (load_file(each.path / "model/model.safetensors") for each in (whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("values", "processes", "said"),
    [
        ({"method": "lora", "lora_init": "pissa"}, 1, "takes parts out of the base"),
        ({"method": "lora", "lora_bias": "all"}, 1, "the base's own biases"),
        ({"method": "lora", "lora_modules_to_save": "norm"}, 1, "trains modules of the base"),
        ({}, 2, "2 processes"),
        ({"anchor_on": "text"}, 1, "anchor_on text needs general text"),
    ],
)
def test_what_is_refused_is_named(base_folder, values, processes, said):
    with pytest.raises(InputError, match=said):
        anchor_texts(
            settings(base_folder, anchor=0.1, **values), resolve(ModelSettings(model=str(base_folder))), processes
        )


def test_the_pocket_brings_its_text():
    ref = resolve(ModelSettings(model="pocket"))
    assert len(anchor_texts(TrainSettings.make(anchor=0.1, anchor_on="text"), ref, 1)) == 300


def test_an_anchored_training_passes_alone():
    assert why_not_together(TrainSettings.make(method="lora", anchor=0.1)).startswith("anchor 0.1 asks the base")
