"""What a family's model says of a row hangs neither on its company nor on how it is read: at once, cached, padded."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers_families import FAMILIES, HYBRIDS, Family
from recollect.errors import SelfTestError
from recollect.generate import Ask, Sampling
from recollect.generate.selftest import self_test
from recollect.generate.state import prefill
from recollect.generate.transformers import TransformersEngine
from recollect.models import LoadedModel

T = 0.7
HOW = Sampling(T, 6, seed=5)
PROMPTS = [[1, 5, 9, 200, 30, 31, 17, 90, 12, 44], [1, 77, 8], [1, 33, 21, 100, 9, 7]]
ANSWERS = [[[3, 4, 6], [7, 8]], [[9]], [[10, 11, 12], [3, 4, 5, 6]]]
ModelOf = Callable[[Family], LoadedModel]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def plain(held: LoadedModel, ids: list[int]) -> torch.Tensor:
    """ln softmax(z / T) after every token, from one forward pass without padding or cache."""
    with torch.inference_mode():
        logits = held.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return torch.log_softmax(logits.double() / T, dim=-1)


@every_family
def test_selected_rows_go_on_as_if_read_alone(family: Family, model_of: ModelOf) -> None:
    model = model_of(family).model
    state = prefill(model, PROMPTS[:2], 0)
    state.select(torch.tensor([1, 0]))  # as many rows as before: a layer left behind would go unnoticed
    state.read(torch.tensor([[3], [4]]))
    state.select(torch.tensor([0, 1, 1]))
    found = state.read(torch.tensor([[6, 7], [6, 7], [8, 9]]), keep=2)
    with torch.inference_mode():
        for row, ids in enumerate([[*PROMPTS[1], 3, 6, 7], [*PROMPTS[0], 4, 6, 7], [*PROMPTS[0], 4, 8, 9]]):
            alone = model(input_ids=torch.tensor([ids])).logits[0, -2:]
            assert (found[row] - alone).abs().max() < 1e-3 * alone.std()


@every_family
def test_scores_are_those_of_plain_forward_passes(family: Family, model_of: ModelOf) -> None:
    held = model_of(family)
    found = TransformersEngine(held).score(PROMPTS, ANSWERS, T)
    for prompt, answers, scores in zip(PROMPTS, ANSWERS, found, strict=True):
        for answer, values in zip(answers, scores, strict=True):
            logprobs = plain(held, [*prompt, *answer])[len(prompt) - 1 : -1]
            assert np.allclose(values, logprobs[range(len(answer)), answer], atol=1e-4)
            assert len(set(values)) == len(answer)


@every_family
def test_greedy_is_the_most_likely_token_each_time_in_any_company(family: Family, model_of: ModelOf) -> None:
    held = model_of(family)
    engine = TransformersEngine(held)
    together = engine.greedy(PROMPTS, 5)
    assert together == [engine.greedy([prompt], 5)[0] for prompt in PROMPTS]
    alike = [[*PROMPTS[0], *prompt] for prompt in PROMPTS]  # what they begin with is read once, where that can be
    assert engine.greedy(alike, 5) == [engine.greedy([prompt], 5)[0] for prompt in alike]
    for prompt, said in zip(PROMPTS, together, strict=True):
        wanted: list[int] = []
        while len(wanted) < 5 and (token := int(plain(held, [*prompt, *wanted])[-1].argmax())) != 2:
            wanted.append(token)
        assert said == wanted


@every_family
def test_draws_are_the_same_alone_and_in_a_batch_and_keep_off_what_is_excluded(
    family: Family, model_of: ModelOf
) -> None:
    held = model_of(family)
    engine = TransformersEngine(held)
    asks = [Ask(prompt, "fact", number, 6) for number, prompt in enumerate(PROMPTS)]
    together = engine.sample(asks, HOW)
    assert [drawn.draws for drawn in together] == [engine.sample([ask], HOW)[0].draws for ask in asks]
    for prompt, drawn in zip(PROMPTS, together, strict=True):
        assert len({tuple(said) for said in drawn.draws}) > 1
        for said in drawn.draws:
            assert torch.isfinite(
                plain(held, [*prompt, *said])[range(len(prompt) - 1, len(prompt) - 1 + len(said)), said]
            ).all()
    excluded = [drawn.draws[0][:2] for drawn in together]
    asks = [replace(ask, excluded=[start]) for ask, start in zip(asks, excluded, strict=True)]
    together = engine.sample(asks, HOW)
    for ask, start, drawn in zip(asks, excluded, together, strict=True):
        alone = engine.sample([ask], HOW)[0]
        assert drawn.draws == alone.draws and all(said[: len(start)] != start for said in drawn.draws)
        logprobs = plain(held, [*ask.prompt, *start])[len(ask.prompt) - 1 : -1]
        wanted = float(logprobs[range(len(start)), start].sum().exp())
        assert drawn.excluded == pytest.approx(wanted, rel=1e-3) and alone.excluded == pytest.approx(wanted, rel=1e-3)


@every_family
def test_the_self_test_passes(family: Family, model_of: ModelOf) -> None:
    held = model_of(family)
    assert self_test(held.model, held.tokenizer, temperature=T).cache_difference < 1e-4


# -- families that break are refused -----------------------------------------------------------------------------

LEAKS = [family for family in HYBRIDS if family.kind in ("qwen3_5_text", "lfm2", "bamba")]


@pytest.mark.parametrize("family", LEAKS[:2], ids=lambda family: family.name)
def test_padding_that_enters_the_state_is_refused(
    family: Family, model_of: ModelOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = model_of(family)
    code = __import__(type(held.model).__module__, fromlist=["x"])
    monkeypatch.setattr(code, "apply_mask_to_padding_states", lambda states, mask: states)
    with pytest.raises(SelfTestError, match="with a cache and padding than without"):
        self_test(held.model, held.tokenizer, temperature=T)


@pytest.mark.parametrize("family", LEAKS, ids=lambda family: family.name)
def test_states_that_do_not_follow_their_rows_are_refused(
    family: Family, model_of: ModelOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.cache_utils import LinearAttentionCacheLayerMixin

    held = model_of(family)
    monkeypatch.setattr(LinearAttentionCacheLayerMixin, "reorder_cache", lambda self, rows: None)
    with pytest.raises(SelfTestError, match=r"with a cache and padding than without"):
        self_test(held.model, held.tokenizer, temperature=T)


def test_a_model_that_fails_on_the_cache_is_refused_in_words(
    model_of: ModelOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = model_of(HYBRIDS[0])
    forward = type(held.model).forward

    def failing(self: object, *args: object, past_key_values: object = None, **kwargs: object) -> object:
        if past_key_values is not None:
            raise AttributeError("'DynamicCache' object has no attribute 'conv_states_q'")
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(held.model), "forward", failing)
    with pytest.raises(SelfTestError, match="'qwen3_5_text' cannot be read in a batch with a cache by this version"):
        self_test(held.model, held.tokenizer, temperature=T)
