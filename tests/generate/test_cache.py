"""Memory written in place holds what transformers' own cache holds, whatever rows part, end or move."""

import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from recollect.generate import Sampling, cache
from recollect.generate.cache import InPlaceLayer, is_in_place
from recollect.generate.random import draw_keys
from recollect.generate.sampler import sample
from recollect.generate.state import State, continuation_logprobs, prefill

SHAPE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.4,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [5, 6]]


def llama() -> PreTrainedModel:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()


def gemma(window: int = 64) -> PreTrainedModel:
    torch.manual_seed(0)
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    return Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE, sliding_window=window, layer_types=kinds)).eval()


@pytest.fixture(params=[llama, gemma])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return request.param()


@pytest.fixture
def generic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing counts as plain, so that transformers' own cache is used."""
    monkeypatch.setattr(cache, "DynamicLayer", type("Nothing", (), {}))
    monkeypatch.setattr(cache, "DynamicSlidingWindowLayer", type("Nothing", (), {}))


def draws(model: PreTrainedModel, *, in_place: bool, **room: int) -> list[list[int]]:
    state = prefill(model, PROMPTS, 2, **room)
    assert is_in_place(state.cache) is in_place
    rows = [row for row in range(len(PROMPTS)) for _ in range(9)]
    keys = draw_keys(1, ["x"] * len(rows), rows, list(range(len(rows))))
    return sample(state, rows, keys, Sampling(0.7, 16), {1, *range(20, 60)})


def scores(model: PreTrainedModel) -> list[list[float]]:
    state = prefill(model, PROMPTS, 2, room=4)
    return continuation_logprobs(state, [2, 0, 2, 1], [[7], [30, 31, 32, 33], [8, 9], [40, 41]], 0.7)


def test_draws_and_scores_are_those_of_the_generic_cache(
    model: PreTrainedModel, request: pytest.FixtureRequest
) -> None:
    kept, scored = draws(model, in_place=True, room=16, rows=36), scores(model)
    assert len({tuple(said) for said in kept}) > 15 and len({len(said) for said in kept}) > 3
    request.getfixturevalue("generic")
    assert draws(model, in_place=False, room=16) == kept
    for one, two in zip(scores(model), scored, strict=True):
        assert one == pytest.approx(two, abs=1e-6)


def test_memory_grows_where_nothing_was_announced() -> None:
    assert draws(llama(), in_place=True) == draws(llama(), in_place=True, room=16, rows=36)
    assert draws(llama(), in_place=True, room=1, rows=1) == draws(llama(), in_place=True, room=16, rows=36)


def test_a_window_that_may_be_outgrown_keeps_the_generic_cache(request: pytest.FixtureRequest) -> None:
    narrow = draws(gemma(window=20), in_place=False, room=16)
    assert draws(gemma(window=21), in_place=True, room=16)
    assert draws(gemma(window=64), in_place=False)  # how many tokens will follow is not known
    request.getfixturevalue("generic")
    assert draws(gemma(window=20), in_place=False, room=16) == narrow


def test_more_tokens_than_announced_do_not_slip_past_a_window() -> None:
    state = prefill(gemma(window=8), PROMPTS, 2, room=3)
    state.read(torch.full((4, 3), 5))
    with pytest.raises(RuntimeError, match="9 tokens are more than were announced, and than the window of 8"):
        state.read(torch.full((4, 1), 5))


def test_rows_that_stay_are_not_moved_and_the_taken_are_apart() -> None:
    state = prefill(llama(), PROMPTS, 2, room=8, rows=8)
    layer = state.cache.layers[1]
    assert isinstance(layer, InPlaceLayer)
    before, place = layer.keys.clone(), layer.keys.data_ptr()
    taken = state.taken(torch.tensor([3, 1]), 2)
    state.select(torch.tensor([0, 1, 0, 3, 2, 2]))
    assert layer.keys.data_ptr() == place
    assert torch.equal(layer.keys, before[[0, 1, 0, 3, 2, 2]])
    read(taken)
    assert torch.equal(layer.keys, before[[0, 1, 0, 3, 2, 2]])
    assert torch.equal(taken.cache.layers[1].keys[:, :, :5], before[[3, 1]])


def read(state: State) -> None:
    state.read(torch.full((state.rows, 2), 5))
