"""How far apart two next-token distributions are, over the whole vocabulary, in chunks, so that memory stays flat.

Notable choices
- Only final hidden states are kept (d numbers a token instead of a vocabulary of them); logits are made again from
  them, a block of tokens times a chunk of the vocabulary at a time, in float32 whatever the weights are.
- Online softmax: a running maximum, and sums that are scaled when it rises. Sums are float64, so that the chunk size
  does not show in the result.
- A Kullback-Leibler divergence is never negative; what rounding puts under zero is set to zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recollect.core.workspace.result import Result
from recollect.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

CHUNK = 8192
"""Vocabulary entries at a time."""
BLOCK = 512
"""Tokens at a time."""


@dataclass(frozen=True)
class Reading:
    """One text to read, and the positions whose next-token distribution is wanted."""

    ids: tuple[int, ...]
    at: tuple[int, ...]


@dataclass(frozen=True)
class Head:
    """A model's last layer: logits = cap(scale * (hidden x weight + bias))."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    @property
    def size(self) -> int:
        """Number of logits."""
        return int(self.weight.shape[0])

    def logits(self, hidden: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Float32 logits of `hidden` [rows, d] for the vocabulary entries start..stop."""
        import torch

        found = hidden.float() @ self.weight[start:stop].float().T
        if self.bias is not None:
            found = found + self.bias[start:stop].float()
        found = found * self.scale if self.scale != 1.0 else found
        return torch.tanh(found / self.cap) * self.cap if self.cap else found


def head_of(model: PreTrainedModel) -> Head:
    """The last layer of a causal language model, with the scale or cap that its configuration states."""
    layer = model.get_output_embeddings()
    if layer is None:
        raise ModelError(f"{type(model).__name__} has no output embeddings, so its logits cannot be compared.")
    config = model.config.get_text_config()
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None)
    return Head(layer.weight.detach(), getattr(layer, "bias", None), scale, float(cap) if cap else None)


def hidden_states(model: PreTrainedModel, readings: Sequence[Reading], batch_size: int = 32) -> torch.Tensor:
    """Final hidden states at the wanted positions, in the order of the readings: [sum of len(at), d], on the CPU.

    Texts are read side by side in order of length, padded on the right. Raises ModelError when the model's own logits
    are not its head applied to these states.
    """
    import torch

    order = sorted(range(len(readings)), key=lambda index: (len(readings[index].ids), index))
    found: dict[int, torch.Tensor] = {}
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            ids, mask = _padded([readings[index].ids for index in rows], model.device)
            states = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            if start == 0:
                _check_head(model, ids[:1], mask[:1])
            for row, index in enumerate(rows):
                found[index] = states[row, list(readings[index].at)].cpu()
    return torch.cat([found[index] for index in range(len(readings))])


class Summary(Result):
    """How the divergences of some tokens are spread, in nats; without tokens, n is 0 and there is nothing else."""

    n: int = 0
    mean: float | None = None
    se: float | None = None
    """Standard error of the mean, tokens of one text counted together; None for one token, and for one text."""
    median: float | None = None
    p90: float | None = None
    p99: float | None = None
    p99_9: float | None = None
    max: float | None = None
    same_top: float | None = None
    """Share of the tokens with the same likeliest entry on both sides; None where that was not asked."""


def summary(
    values: Floats,
    same_top: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
    texts: Sequence[int] | None = None,
) -> Summary:
    """Mean with its standard error, quantiles and maximum, and the share of tokens with the same likeliest entry.

    values: nats, one per token. texts: the text that each is of, by default one each.
    """
    if not len(values):
        return Summary()
    median, p90, p99, p99_9 = (float(value) for value in np.quantile(values, [0.5, 0.9, 0.99, 0.999]))
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    if texts is not None and len(set(texts)) < len(values):
        error = _error_by_text(values, texts)
    same = None if same_top is None else float(same_top.mean())
    mean, most = float(values.mean()), float(values.max())
    return Summary(
        n=len(values), mean=mean, se=error, median=median, p90=p90, p99=p99, p99_9=p99_9, max=most, same_top=same
    )


def _error_by_text(values: Floats, texts: Sequence[int]) -> float | None:
    """The standard error of the mean where tokens of one text go together; None of a single text."""
    names, place = np.unique(np.asarray(texts), return_inverse=True)
    if len(names) < 2:
        return None
    left = np.bincount(place, values - values.mean())
    return float(np.sqrt((left**2).sum() * len(names) / (len(names) - 1)) / len(values))


@dataclass(frozen=True)
class Divergences:
    """Token by token: KL(first || second) and back, in nats; whether both rank one token first."""

    forward: Floats
    backward: Floats
    same_top: np.ndarray[Any, np.dtype[np.bool_]]


def divergences(
    first: torch.Tensor, first_head: Head, second: torch.Tensor, second_head: Head, *, chunk: int = CHUNK
) -> Divergences:
    """KL(first || second) and KL(second || first) of the distributions after each hidden state [tokens, d].

    Vocabularies of unlike size are compared on the entries that both have (padding rows are the usual cause).
    """
    import torch

    size = min(first_head.size, second_head.size)
    forward, backward, same = [], [], []
    with torch.inference_mode():
        for a, b in zip(_blocks(first, first_head), _blocks(second, second_head), strict=True):
            p, q = _Sums(len(a)), _Sums(len(b))
            for start in range(0, size, chunk):
                stop = min(start + chunk, size)
                x, y = first_head.logits(a, start, stop), second_head.logits(b, start, stop)
                p.add(x, x - y, start)
                q.add(y, y - x, start)
            forward.append((p.mean() - p.log_sum() + q.log_sum()).clamp(min=0))
            backward.append((q.mean() - q.log_sum() + p.log_sum()).clamp(min=0))
            same.append(p.top == q.top)
    return Divergences(torch.cat(forward).numpy(), torch.cat(backward).numpy(), torch.cat(same).numpy())


def losses(hidden: torch.Tensor, head: Head, targets: Sequence[int], *, chunk: int = CHUNK) -> Floats:
    """-ln p(target) in nats after each hidden state [tokens, d]."""
    import torch

    found = []
    wanted = torch.as_tensor(list(targets))
    at = 0
    with torch.inference_mode():
        for block in _blocks(hidden, head):
            sums = _Sums(len(block))
            chosen = torch.zeros(len(block), dtype=torch.float64)
            target = wanted[at : at + len(block)]
            for start in range(0, head.size, chunk):
                logits = head.logits(block, start, min(start + chunk, head.size))
                sums.add(logits, None, start)
                inside = ((target >= start) & (target < start + logits.shape[1])).nonzero()[:, 0]
                chosen[inside] = (
                    logits[inside.to(logits.device), (target[inside] - start).to(logits.device)].double().cpu()
                )
            found.append(sums.log_sum() - chosen)
            at += len(block)
    return torch.cat(found).numpy()


class _Sums:
    """Running sums of softmax over chunks: the log of the normaliser, the mean of a value, the likeliest entry."""

    def __init__(self, rows: int) -> None:
        import torch

        self.highest = torch.full((rows,), -float("inf"), dtype=torch.float64)
        self.total = torch.zeros(rows, dtype=torch.float64)
        self.weighted = torch.zeros(rows, dtype=torch.float64)
        self.top = torch.zeros(rows, dtype=torch.long)

    def add(self, logits: torch.Tensor, value: torch.Tensor | None, offset: int) -> None:
        """Take in the logits of one chunk [rows, entries] and the value to average, of the same shape."""
        import torch

        best, place = logits.max(dim=1)
        best, place = best.double().cpu(), place.cpu()
        self.top = torch.where(best > self.highest, place + offset, self.top)
        highest = torch.maximum(best, self.highest)
        scale = torch.exp(self.highest - highest)
        weights = torch.exp(logits - highest.to(logits.device, logits.dtype)[:, None])
        self.total = self.total * scale + weights.sum(dim=1, dtype=torch.float64).cpu()
        if value is not None:
            self.weighted = self.weighted * scale + (weights * value).sum(dim=1, dtype=torch.float64).cpu()
        self.highest = highest

    def log_sum(self) -> torch.Tensor:
        """ln of the sum of exp(logit)."""
        return self.highest + self.total.log()

    def mean(self) -> torch.Tensor:
        """Mean of the value under the distribution."""
        return self.weighted / self.total


def _blocks(hidden: torch.Tensor, head: Head) -> Iterator[torch.Tensor]:
    for at in range(0, len(hidden), BLOCK):
        yield hidden[at : at + BLOCK].to(head.weight.device)


def _padded(texts: Sequence[Sequence[int]], device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    ids = torch.zeros((len(texts), max(map(len, texts))), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.as_tensor(list(text))
        mask[row, : len(text)] = 1
    return ids.to(device), mask.to(device)


def _check_head(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor) -> None:
    """The head of `head_of` must give the model's own logits; another formula (a scale unknown to us) is an error."""
    import torch

    own = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[0].float()
    states = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[0]
    ours = head_of(model).logits(states)
    tolerance = 1e-3 if model.dtype == torch.float32 else 3e-2
    if own.shape != ours.shape or float((own - ours).abs().max()) > tolerance * max(1.0, float(own.abs().max())):
        raise ModelError(
            f"{type(model).__name__} does not make its logits as head x final hidden state, so the token comparison "
            "would be wrong for it. Take --no-tokens; the parameters can still be compared."
        )
