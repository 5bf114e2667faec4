"""Tokens drawn by blocks follow softmax(z / T), on vocabularies of one token to a quarter of a million."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from recollect.generate.distribution import BLOCK, EXACT_UP_TO, Discounts, logprobs_of, pick
from recollect.generate.random import draw_keys, uniforms

VOCABULARIES = [1, 7, BLOCK, BLOCK + 1, 5000, EXACT_UP_TO + 1, 50_257, 262_144]


def logits_of(rows: int, vocabulary: int, seed: int = 0, spread: float = 3.0) -> torch.Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * spread


def numbers(draws: int, step: int = 0) -> torch.Tensor:
    return torch.as_tensor(uniforms(draw_keys(0, ["x"] * draws, list(range(draws))), step))


def exact(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    return torch.softmax(logits.double() / temperature, dim=-1)


def p_value(tokens: torch.Tensor, probabilities: torch.Tensor) -> float:
    """Chi-square over bins of at least five expected draws, the most likely tokens first."""
    order = probabilities.argsort(descending=True)
    expected = probabilities[order].numpy() * len(tokens)
    seen = torch.bincount(tokens, minlength=len(probabilities))[order].numpy()
    assert not seen[expected == 0].any()
    group = np.minimum((np.cumsum(expected) / 5).astype(int), int(len(tokens) / 5) - 1)
    expected, seen = (np.bincount(group, weights=values) for values in (expected, seen))
    large = expected >= 4
    seen, expected = np.append(seen[large], seen[~large].sum()), np.append(expected[large], expected[~large].sum())
    if len(expected) < 3 or expected[-1] == 0:
        seen, expected = seen[:-1], expected[:-1]
    return 1.0 if len(expected) < 2 else float(chisquare(seen, expected * seen.sum() / expected.sum()).pvalue)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_draws_follow_the_softmax(vocabulary: int, temperature: float) -> None:
    logits, draws = logits_of(3, vocabulary), 20_000
    row = np.arange(draws) % 3
    tokens = pick(logits, numbers(draws), row, temperature=temperature)
    for at in range(3):
        assert p_value(tokens[row == at], exact(logits, temperature)[at]) > 1e-4


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_token_is_the_one_at_which_the_exact_cumulative_probability_passes_the_number(
    vocabulary: int, dtype: torch.dtype
) -> None:
    logits, draws = logits_of(2, vocabulary).to(dtype), 4000 if vocabulary < 10_000 else 200
    row = np.repeat([1, 0], draws // 2)
    uniform = numbers(draws)
    tokens = pick(logits, uniform, row, temperature=0.7)
    probabilities = exact(logits, 0.7)[row]
    past = probabilities.cumsum(dim=-1).gather(1, tokens[:, None])[:, 0]
    before = past - probabilities.gather(1, tokens[:, None])[:, 0]
    room = 1e-12 if vocabulary <= EXACT_UP_TO else 2e-6  # of the cumulative probability
    assert (before <= uniform + room).all() and (past >= uniform - room).all()


def test_one_draw_a_row_is_the_same_without_being_told_the_rows() -> None:
    logits, uniform = logits_of(100, 20_000), numbers(100)
    assert (pick(logits, uniform, np.arange(100), temperature=0.7) == pick(logits, uniform, temperature=0.7)).all()


def test_draws_hang_on_no_other_row() -> None:
    logits, uniform = logits_of(90, 50_257), numbers(400)
    row = np.random.default_rng(0).integers(0, 90, 400)
    together = pick(logits, uniform, row, temperature=0.7)
    for at in (0, 44, 89):
        mine = row == at
        alone = pick(logits[at : at + 1], uniform[mine], np.zeros(mine.sum(), dtype=np.int64), temperature=0.7)
        assert (alone == together[mine]).all()


@pytest.mark.parametrize("vocabulary", [600, 50_257])
def test_top_k_keeps_the_most_likely_and_their_ties(vocabulary: int) -> None:
    logits, draws = logits_of(1, vocabulary), 6000
    best = logits[0].topk(6).indices
    logits[0, best[4:6]] = float(logits[0, best[4]])  # the fifth and sixth are equal: top 5 are six
    tokens = pick(logits, numbers(draws), np.zeros(draws, dtype=np.int64), temperature=2.0, top_k=5)
    cut = torch.full_like(logits, -torch.inf)
    cut[0, best] = logits[0, best]
    assert set(tokens.tolist()) == set(best.tolist())
    assert p_value(tokens, exact(cut, 2.0)[0]) > 1e-4
    assert (pick(logits, numbers(9), np.zeros(9, dtype=np.int64), temperature=1.0, top_k=10**9) >= 0).all()


@pytest.mark.parametrize("vocabulary", [600, 50_257])
def test_discounts_reweight_single_tokens(vocabulary: int) -> None:
    logits, draws = logits_of(4, vocabulary), 8000
    best = logits.topk(2, dim=-1).indices
    discounts = Discounts(
        np.array([1, 1, 3]), np.array([int(best[1, 0]), int(best[1, 1]), int(best[3, 0])]), np.array([0.25, 0.0, 0.5])
    )
    row = np.arange(draws) % 4
    tokens = pick(logits, numbers(draws), row, temperature=0.7, discounts=discounts)
    wanted = exact(logits, 0.7)
    for at, token, factor in zip(*discounts, strict=True):
        wanted[at, token] *= factor
    wanted /= wanted.sum(dim=-1, keepdim=True)
    for at in range(4):
        assert p_value(tokens[row == at], wanted[at]) > 1e-4
    assert not (tokens[row == 1] == best[1, 1]).any()


@pytest.mark.parametrize("vocabulary", [10, 600, 50_257])
def test_no_number_picks_a_token_without_probability(vocabulary: int) -> None:
    """The least and the greatest uniform number, where the first and the last columns have none."""
    logits = logits_of(1, vocabulary)
    logits[0, :3] = logits[0, -3:] = -torch.inf
    edge = torch.tensor([0.0, 2.0**-53, 1 - 2.0**-52, 1 - 2.0**-53], dtype=torch.float64)
    tokens = pick(logits, edge, np.zeros(4, dtype=np.int64), temperature=0.7)
    assert torch.isfinite(logits[0, tokens]).all()


@pytest.mark.parametrize("vocabulary", [7, 5000, 50_257])
def test_log_probabilities_of_tokens(vocabulary: int) -> None:
    logits = logits_of(12, vocabulary).view(4, 3, vocabulary)
    tokens = torch.arange(12).view(4, 3) % vocabulary
    found = logprobs_of(logits, tokens, 0.7)
    wanted = torch.log_softmax(logits.double() / 0.7, dim=-1).gather(2, tokens[:, :, None])[:, :, 0]
    assert found.dtype == torch.float64
    assert (found - wanted).abs().max() < (1e-13 if vocabulary <= EXACT_UP_TO else 2e-5)
