"""The check before every run: does the sampler draw from softmax(z / T) of the model, and is the cache right?

It catches a top-k that slipped in, an ignored temperature, a wrong pad side, and caches that disagree with the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recollect.errors import SelfTestError
from recollect.generate.encoding import begin_ids, context_limit, text_ids
from recollect.generate.engine import Sampling
from recollect.generate.random import draw_keys
from recollect.generate.sampler import sample
from recollect.generate.state import continuation_logprobs, prefill

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_TEXTS = ("The capital of the country is", "She was born in", "Question: Who wrote it? Answer:")
_DRAWS = 700  # of each text
_SMALLEST_P = 1e-6  # a false alarm in a million runs


class SelfTest(NamedTuple):
    """What the check found."""

    p_value: float
    cache_difference: float
    """Largest difference of a log-probability with and without a cache."""


def self_test(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, temperature: float, top_k: int = 0
) -> SelfTest:
    """Compare first-token draws with the softmax of a plain forward pass (chi-square), and cached with uncached logits.

    Raises SelfTestError when either is out of bounds.
    """
    import torch
    from scipy.stats import chisquare

    prompts, answer = _prompts(model, tokenizer)
    state = prefill(model, prompts, tokenizer.pad_token_id or 0)
    expected = []
    with torch.inference_mode():
        for ids in prompts:
            tokens = torch.as_tensor([ids], device=model.device)
            logits = model(input_ids=tokens).logits[0, -1].double().cpu().numpy() / temperature
            if top_k:
                logits[logits < np.sort(logits)[-min(top_k, len(logits))]] = -np.inf
            weights = np.exp(logits - logits.max())
            expected.append(weights / weights.sum())

    cached = np.array(continuation_logprobs(state, range(len(prompts)), [answer] * len(prompts), 1.0))
    plain = []
    with torch.inference_mode():
        for ids in prompts:
            tokens = torch.as_tensor([list(ids) + list(answer)], device=model.device)
            logprobs = model(input_ids=tokens).logits[0].double().log_softmax(-1).cpu().numpy()
            plain.append([logprobs[len(ids) - 1 + at, token] for at, token in enumerate(answer)])
    difference = float(np.abs(cached - np.array(plain)).max())
    allowed = 1e-3 if next(model.parameters()).dtype == torch.float32 else 0.25
    if not difference <= allowed:
        raise SelfTestError(
            f"the model says something else with a cache and padding than without: log-probabilities differ by "
            f"{difference:.3g}, at most {allowed} expected. This model cannot be probed with the built-in sampler."
        )

    rows = np.repeat(np.arange(len(prompts)), _DRAWS)
    keys = draw_keys(0, ["self-test"] * len(rows), rows.tolist(), list(range(len(rows))))
    drawn = sample(state, rows.tolist(), keys, Sampling(temperature, 1, top_k), stop_ids=())
    tokens_drawn = np.array([ids[0] for ids in drawn])
    observed_bins: list[float] = []
    expected_bins: list[float] = []
    for row, distribution in enumerate(expected):
        counts = np.bincount(tokens_drawn[rows == row], minlength=len(distribution)).astype(float)
        want = distribution * _DRAWS
        if counts[distribution == 0].any():
            raise SelfTestError(
                "the sampler drew a token of probability zero. Nothing measured with it can be trusted."
            )
        group = _bins(want)
        observed_bins += np.bincount(group, weights=counts).tolist()
        expected_bins += np.bincount(group, weights=want).tolist()
    usable = np.array(expected_bins) > 1e-9
    observed, wanted = np.array(observed_bins)[usable], np.array(expected_bins)[usable]
    p_value = 1.0
    if len(wanted) > len(prompts):
        p_value = float(chisquare(observed, wanted * observed.sum() / wanted.sum(), ddof=len(prompts) - 1).pvalue)
    if p_value < _SMALLEST_P:
        raise SelfTestError(
            f"first-token draws do not follow softmax(z/T) at T={temperature}, top_k={top_k} (chi-square p = "
            f"{p_value:.2g}). Nothing measured with this sampler can be trusted; please report the model and versions."
        )
    return SelfTest(p_value, difference)


def _prompts(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[list[list[int]], list[int]]:
    """The ids of the three prompts and of a continuation, within the model's context and never empty."""
    longest = context_limit(model.config) or 1024
    answer = text_ids(tokenizer, [" the city of"])[0][: max(1, longest // 4)] or [0]
    begin = begin_ids(tokenizer)
    texts = [begin + (ids or [0]) for ids in text_ids(tokenizer, _TEXTS)]
    return [ids[: max(1, longest - len(answer))] for ids in texts], answer


def _bins(want: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A bin number for each token, most expected first: as many tokens a bin as it takes for five draws."""
    order = np.argsort(-want, kind="stable")
    group = np.empty(len(want), dtype=np.int64)
    number, inside = 0, 0.0
    for token in order.tolist():
        group[token] = number
        inside += want[token]
        if inside >= 5:
            number, inside = number + 1, 0.0
    return np.minimum(group, max(0, number - 1))  # what is left over joins the last whole bin
