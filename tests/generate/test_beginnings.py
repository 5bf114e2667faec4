"""What many prompts begin with is read once, and everything after it is as if each had been read whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from helpers_adapters import tiny_base
from recollect.generate.state import Owners, greedy, prefill, read_prompts, shared_length

TEMPLATE = [1, 30, 31, 32, 33, 34]
PROMPTS = [
    [*TEMPLATE, 5, 6, 7],
    [*TEMPLATE, 5, 6, 8, 9, 10],
    [*TEMPLATE, 5, 40, 41],
    [*TEMPLATE, 50],
    [*TEMPLATE[:4], 60, 61, 62, 63],
]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForCausalLM

    folder = tiny_base(tmp_path_factory.mktemp(request.param) / "base", request.param)
    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()


def count_tokens(model: Any) -> tuple[list[int], Any]:
    """How many tokens, padding and all, each reading of the model has."""
    seen: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["input_ids"].numel()), with_kwargs=True
    )
    return seen, hook


def test_the_next_tokens_are_as_likely_as_after_whole_prompts(model: Any) -> None:
    whole = prefill(model, PROMPTS, 0, room=4)
    seen, hook = count_tokens(model)
    state = read_prompts(model, PROMPTS, 0, 4)
    hook.remove()
    assert seen == [2 * 6, 5 * 5]  # two beginnings of six tokens, and up to five more of each prompt
    assert torch.allclose(state.logits, whole.logits, atol=1e-5)
    assert torch.equal(state.position, whole.position)
    for _ in range(3):
        tokens = whole.logits.argmax(dim=-1)
        for one in (state, whole):
            one.advance(torch.tensor([4, 2, 2, 0, 1]), tokens)
        assert torch.allclose(state.logits, whole.logits, atol=1e-5)


def test_greedy_answers_are_those_of_each_prompt_alone(model: Any) -> None:
    alone = [greedy(model, [prompt], 6, {2}, 0)[0] for prompt in PROMPTS]
    assert greedy(model, PROMPTS, 6, {2}, 0) == alone


def test_a_beginning_is_read_once_for_each_owner(model: Any) -> None:
    said: list[list[int]] = []
    owners = Owners(np.array([0, 0, 1, 1, 1]), lambda rows: said.append(list(rows)))
    seen, hook = count_tokens(model)
    state = read_prompts(model, PROMPTS, 0, 1, owners)
    hook.remove()
    assert (seen, said) == ([2 * 4, 5 * 7], [[0, 1], [0, 0, 1, 1, 1]])
    state.select(torch.tensor([4, 0]))
    assert state.owners is not None
    assert state.owners.adapters.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("prompts", "owners", "cut"),
    [
        (PROMPTS, [0] * 5, 6),
        (PROMPTS, [0, 0, 1, 1, 1], 4),
        ([[1, 2, 3], [1, 2, 3], [1, 2, 3]], [0] * 3, 2),  # the last token is read with what it is followed by
        ([[1, 2, 3], [4, 5, 6]], [0] * 2, 0),
        ([[1, 2, 3, 4], [1, 2, 3, 5]], [0, 1], 0),
        ([[1], [1, 2, 3, 4, 5]], [0] * 2, 0),
        ([[*range(20), 30 + at] for at in range(3)] + [[*range(9), 99, *range(10, 21)]] * 3, [0] * 6, 20),
    ],
)
def test_so_much_is_shared_that_fewest_tokens_are_read(prompts: list[list[int]], owners: list[int], cut: int) -> None:
    assert shared_length(prompts, owners) == cut
