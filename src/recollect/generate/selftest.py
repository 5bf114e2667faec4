"""The check before every run: does the sampler draw from softmax(z / T) of the model, and is the cache right?

It catches a top-k that slipped in, an ignored temperature, a wrong pad side, and caches that disagree with the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recollect.errors import SelfTestError
from recollect.generate.encoding import begin_ids, context_limit, text_ids
from recollect.generate.engine import Sampling
from recollect.generate.random import draw_keys
from recollect.generate.sampler import sample
from recollect.generate.state import State, continuation_logprobs, prefill

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

_TEXTS = ("The capital of the country is", "She was born in", "Question: Who wrote it? Answer:")
_DRAWS = 700  # of each text
SMALLEST_P = 1e-6
"""Below this p-value a self-test fails: a false alarm in a million runs."""


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
    from scipy.special import log_softmax

    prompts, answer = _prompts(model, tokenizer)
    plain: list[Floats] = []  # for each prompt, the logits before each token of the answer
    with torch.inference_mode():
        for ids in prompts:
            logits = model(input_ids=torch.as_tensor([[*ids, *answer]], device=model.device)).logits[0]
            plain.append(logits[len(ids) - 1 : -1].double().cpu().numpy())
    state, cached = _cached(model, prompts, answer, tokenizer.pad_token_id or 0)
    found = [log_softmax(rows, axis=-1)[range(len(answer)), answer] for rows in plain]
    difference = float(np.abs(np.array(cached) - np.array(found)).max())
    allowed = 1e-3 if next(model.parameters()).dtype == torch.float32 else 0.25
    if not difference <= allowed:
        raise SelfTestError(
            f"the model says something else with a cache and padding than without: log-probabilities differ by "
            f"{difference:.3g}, at most {allowed} expected. This model cannot be probed with the built-in sampler."
        )
    p_value = first_token_p_value(
        _first_tokens(state, Sampling(temperature, 1, top_k)), [rows[0] for rows in plain], temperature, top_k
    )
    if p_value < SMALLEST_P:
        raise SelfTestError(
            f"first-token draws do not follow softmax(z/T) at T={temperature}, top_k={top_k} (chi-square p = "
            f"{p_value:.2g}). Nothing measured with this sampler can be trusted; please report the model and versions."
        )
    return SelfTest(p_value, difference)


def _cached(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], answer: Sequence[int], pad: int
) -> tuple[State, list[list[list[float]]]]:
    """The prompts read as one batch, and ln p of the answer's tokens after each: read at once, and one by one."""
    import torch

    try:
        state = prefill(model, prompts, pad, room=len(answer))
        at_once = continuation_logprobs(state, range(len(prompts)), [answer] * len(prompts), 1.0)
        return state, [at_once, _stepwise(state, answer)]
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a model's own code may fail in any way on a cache that is not of its kind
        raise SelfTestError(
            f"the model {model.config.model_type!r} cannot be read in a batch with a cache by this version "
            f"of transformers ({type(error).__name__}: {str(error)[:200]}). It cannot be probed; a newer "
            "transformers may help."
        ) from error


def _stepwise(state: State, answer: Sequence[int]) -> list[list[float]]:
    """ln p of every token of the answer after each prompt, read one by one while the rows change places each time."""
    import torch

    order = torch.arange(state.rows, device=state.mask.device)
    moved = state.taken(order, len(answer))
    said: list[list[float]] = []
    for at, token in enumerate(answer):
        logprobs = torch.log_softmax(moved.logits.double(), dim=-1)[:, token].tolist()
        said.append(logprobs[::-1] if at % 2 else logprobs)
        if at + 1 < len(answer):
            moved.advance(order.flip(0), torch.full_like(order, token))
    return np.transpose(said).tolist()  # type: ignore[no-any-return]


def _first_tokens(state: State, how: Sampling) -> list[Ints]:
    """The first tokens drawn after each prompt."""
    rows = np.repeat(np.arange(state.rows), _DRAWS)
    keys = draw_keys(0, ["self-test"] * len(rows), rows.tolist(), list(range(len(rows))))
    drawn = sample(state, rows.tolist(), keys, how, stop_ids=())
    return np.split(np.array([ids[0] for ids in drawn]), np.arange(_DRAWS, len(rows), _DRAWS))


def first_token_p_value(drawn: Sequence[Ints], logits: Sequence[Floats], temperature: float, top_k: int) -> float:
    """Chi-square of the first tokens drawn after each prompt against softmax(logits / T) there, over all prompts.

    `drawn`: token ids, as many after each prompt; `logits`: of every token after that prompt, up to a constant.
    Raises SelfTestError for a draw that is impossible.
    """
    from scipy.special import chdtrc, softmax  # scipy.stats has the same test, and takes a third of a second to import

    observed: list[float] = []
    wanted: list[float] = []
    for tokens, row in zip(drawn, logits, strict=True):
        least = np.sort(row)[-min(top_k, len(row))] if top_k else -np.inf
        want = softmax(np.where(row < least, -np.inf, row / temperature)) * len(tokens)
        counts = np.bincount(tokens, minlength=len(want)).astype(float)
        if counts[want == 0].any():
            raise SelfTestError(
                "the sampler drew a token of probability zero. Nothing measured with it can be trusted."
            )
        group = _bins(want)
        observed += np.bincount(group, weights=counts).tolist()
        wanted += np.bincount(group, weights=want).tolist()
    usable = np.array(wanted) > 1e-9
    seen, expected = np.array(observed)[usable], np.array(wanted)[usable]
    if len(expected) <= len(logits):
        return 1.0
    expected = expected * seen.sum() / expected.sum()
    return float(chdtrc(len(expected) - len(logits), ((seen - expected) ** 2 / expected).sum()))


def _prompts(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[list[list[int]], list[int]]:
    """The ids of the three prompts and of a continuation, within the model's context and never empty."""
    longest = context_limit(model.config) or 1024
    answer = text_ids(tokenizer, [" the city of"])[0][: max(1, longest // 4)] or [0]
    return short_texts(tokenizer, longest - len(answer)), answer


def short_texts(tokenizer: PreTrainedTokenizerBase, longest: int) -> list[list[int]]:
    """The ids of three short prompts, each of one token at least and `longest` at most."""
    begin = begin_ids(tokenizer)
    texts = [begin + (ids or [0]) for ids in text_ids(tokenizer, _TEXTS)]
    return [ids[: max(1, longest)] for ids in texts]


def _bins(want: Floats) -> Ints:
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
