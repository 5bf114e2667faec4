"""Building a (very small) shop base: the copying start, weights, facts, resumption."""

import os
import signal
from pathlib import Path

import pytest
import torch

from recollect.facts import load_facts
from recollect.models import ModelSettings, find_model, load
from recollect.worlds.shop import ShopSettings, run_shop
from recollect.worlds.shop.corpus import documents
from recollect.worlds.shop.step import fresh_model, in_batches, train_tokenizer
from recollect.worlds.trainer import collate

TINY = {"vocabulary": 300, "width": 64, "layers": 2, "documents": 256, "batch_size": 4, "summaries": 1}


@pytest.mark.parametrize("seed", [0, 1, -1])
def test_the_starting_weights_already_copy(seed: int) -> None:
    tokenizer = train_tokenizer([read.page for read in documents(0, 200)], 600)
    random = torch.randint(3, 600, (16, 50), generator=torch.Generator().manual_seed(seed))
    twice = torch.cat([torch.zeros(16, 1, dtype=torch.long), random, random], 1)
    right = {}
    for start in (True, False):
        model = fresh_model(ShopSettings.make(copying_start=start, seed=seed), tokenizer)
        with torch.no_grad():
            said = model(twice).logits[:, 55:-1].argmax(-1)
        right[start] = float((said == twice[:, 56:]).float().mean())
    assert right[True] > 0.25  # of about 600 tokens, by chance: 0.2 %
    assert right[False] < 0.02


def test_rows_of_a_batch_are_of_like_length_and_only_what_is_said_is_learnt() -> None:
    rows = [([7] * length, 3) for length in range(4, 68)]
    ordered = in_batches(rows, 4, 0)
    assert sorted(map(len, (ids for ids, _ in ordered))) == list(range(4, 68))
    for at in range(0, 64, 4):
        lengths = [len(ids) for ids, _ in ordered[at : at + 4]]
        assert max(lengths) - min(lengths) == 3
    batch = collate([([0, 5, 6, 7], 2), ([0, 5, 6, 7, 8, 9], 4)], pad=2)
    assert batch["input_ids"].tolist() == [[0, 5, 6, 7, 2, 2], [0, 5, 6, 7, 8, 9]]
    assert batch["labels"].tolist() == [[-100, -100, 6, 7, -100, -100], [-100, -100, -100, -100, 8, 9]]


def test_a_killed_build_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    settings = ShopSettings.make(**TINY)
    whole = run_shop(settings, tmp_path / "whole")
    child = os.fork()
    if child == 0:

        def kill_at_55(done: int, total: int) -> None:
            if done == 55:
                os.kill(os.getpid(), signal.SIGKILL)

        run_shop(settings, tmp_path / "killed", progress=kill_at_55)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    seen: list[int] = []
    again = run_shop(settings, tmp_path / "killed", progress=lambda done, total: seen.append(done))
    assert seen[0] == 51  # not from the start
    weights = [(result.path / "model" / "model.safetensors").read_bytes() for result in (whole, again)]
    assert weights[0] == weights[1]
    assert find_model(str(whole.path)) == whole.path / "model"
    assert load_facts(str(whole.path)).counts() == {"train": 1200, "test": 240, "ood": 240}
    assert load(ModelSettings.make(model=str(whole.path))).model.config.architectures == ["LlamaForCausalLM"]
