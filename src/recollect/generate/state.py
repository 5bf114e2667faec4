"""A batch of prompts a model has read: attention cache, masks and the logits of the next token, row by row.

Notable choices
- Prompts are padded on the left, so every row's next token is at the end and one mask serves all rows.
- Rows can be selected and repeated: that is how draws share one prefill and how finished rows are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from recollect.generate.attention import can_be_packed, packed
from recollect.generate.distribution import Ints, logprobs_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from recollect.generate.lower import Alike, LowerLayers


@dataclass(frozen=True)
class Owners:
    """Whose each row is, where several models that differ in adapters alone read one batch."""

    adapters: Ints
    """[rows], by the adapters' numbers."""
    say: Callable[[Sequence[int]], None]
    """Told before each reading whose its rows are (`belong_to` of `models.stacked.Rows`)."""
    lower: LowerLayers | None = None
    """The layers below the first adapted one, where what rows of several adapters read alike is computed once."""

    def of(self, rows: torch.Tensor) -> Owners:
        """Those of these rows."""
        return replace(self, adapters=self.adapters[rows.cpu().numpy()])

    def announce(self) -> None:
        """Say whose the rows of the next reading are."""
        self.say(self.adapters.tolist())


@dataclass
class State:
    """The model's state after reading one text per row.

    Shapes: `mask` [rows, read], `position` [rows] (position of the next token), `logits` [rows, vocabulary] in the
    model's own number format.
    """

    model: PreTrainedModel
    cache: Any
    mask: torch.Tensor
    position: torch.Tensor
    logits: torch.Tensor
    packed: bool = False
    """Whether single tokens are read with `attention.packed`."""
    owners: Owners | None = None
    """Whose each row is; None where all are of one model."""
    alike: Ints | None = None
    """[rows]: equal for rows that have read the same; None where that is not known, as after single tokens."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.mask.shape[0])

    def select(self, rows: torch.Tensor) -> None:
        """Keep (or repeat, or reorder) these rows, in place."""
        if self._select_read(rows):
            self.logits = self.logits[rows]

    def advance(self, rows: torch.Tensor | None, tokens: torch.Tensor) -> None:
        """Keep (or repeat, or reorder) these rows (None: as they are), in place, and read one more token after each."""
        if rows is not None:
            self._select_read(rows)
        self.read(tokens[:, None])

    def _select_read(self, rows: torch.Tensor) -> bool:
        """Select in all but the logits, which the next read replaces; False where the rows stay as they are."""
        import torch

        from recollect.generate.cache import select_rows

        if len(rows) == self.rows and bool((rows == torch.arange(len(rows), device=rows.device)).all()):
            return False
        with torch.inference_mode():
            select_rows(self.cache, rows)
        self.mask = self.mask[rows]
        self.position = self.position[rows]
        self.owners = self.owners and self.owners.of(rows)
        self.alike = None if self.alike is None else self.alike[rows.cpu().numpy()]
        return True

    def taken(self, rows: torch.Tensor, room: int = 0) -> State:
        """A new state of these rows with room for so many tokens more; this one stays as it is."""
        import torch

        from recollect.generate.cache import is_in_place, rows_of

        if not is_in_place(self.cache):
            other = State(self.model, deepcopy(self.cache), self.mask, self.position, self.logits, owners=self.owners)
            other.select(rows)
            return other
        with torch.inference_mode():
            cache = rows_of(self.cache, rows, room)
        owners = self.owners and self.owners.of(rows)
        alike = None if self.alike is None else self.alike[rows.cpu().numpy()]
        mask, position, logits = self.mask[rows], self.position[rows], self.logits[rows]
        return State(self.model, cache, mask, position, logits, self.packed, owners, alike)

    def read(self, tokens: torch.Tensor, mask: torch.Tensor | None = None, *, keep: int = 1) -> torch.Tensor:
        """Read `tokens` [rows, n] (real where `mask` is 1, padded on one side); gives logits [rows, keep, vocabulary].

        With keep=1 the state's own logits become those after the last token: nothing may be padded on the right then.
        """
        import torch

        from recollect.generate.cache import keeps_states

        mask = torch.ones_like(tokens) if mask is None else mask
        if tokens.shape[1] > 1 and keeps_states(self.cache):
            # Several at once start from an empty state in some versions of the library and some models (Jamba still)
            each = range(tokens.shape[1])
            read = [self.read(tokens[:, at : at + 1], mask[:, at : at + 1]) for at in each]
            return torch.cat(read, dim=1)[:, -keep:]
        self.mask = torch.cat([self.mask, mask], dim=1)
        positions = self.position[:, None] + (mask.cumsum(dim=1) - 1).clamp(min=0)
        seen, reading = self.mask, cast(AbstractContextManager[None], nullcontext())
        if self.packed and tokens.shape[1] == 1:
            seen, reading = self.mask.bool()[:, None, None, :], packed(self.model)
        alike = None
        if self.alike is not None and tokens.shape[1] > 1:
            alike = _alike(self.alike, tokens, mask)
        self.alike = None if alike is None else alike.numbers
        with reading:
            output = _read(self.model, self.cache, (tokens, seen, positions), keep, self.owners, alike)
        self.cache = output.past_key_values
        self.position = self.position + mask.sum(dim=1)
        logits: torch.Tensor = output.logits
        self.logits = logits[:, -1]
        return logits


def prefill(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    pad_id: int,
    *,
    room: int | None = None,
    rows: int = 0,
    owners: Owners | None = None,
) -> State:
    """Read the prompts (token ids, each at least one token) as one left-padded batch.

    room: how many tokens will follow at most, where known; rows: how many rows there may be. Both let memory be set
    aside once. owners: whose each prompt is, where they are of several adapters.
    """

    from recollect.generate.cache import is_in_place, set_aside

    if not prompts or min(map(len, prompts)) < 1:
        raise ValueError(f"prompts must each have at least one token, but got lengths {[len(p) for p in prompts][:5]}.")
    tokens, mask = (one.to(model.device) for one in _padded(prompts, pad_id))
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    cache, alike = set_aside(model, tokens.shape[1], room, max(rows, len(prompts))), None
    if owners is not None and owners.lower is not None and is_in_place(cache):
        alike = _alike(np.zeros(len(prompts), dtype=np.int64), tokens, mask)
    output = _read(model, cache, (tokens, mask, positions), 1, owners, alike)
    ours, numbers = is_in_place(cache) and can_be_packed(model), None if alike is None else alike.numbers
    return State(model, output.past_key_values, mask, mask.sum(dim=1), output.logits[:, -1], ours, owners, numbers)


def _alike(before: Ints, tokens: torch.Tensor, mask: torch.Tensor) -> Alike:
    from recollect.generate.lower import Alike

    return Alike.of(before, tokens, mask)


def _read(
    model: PreTrainedModel,
    cache: Any,
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    keep: int,
    owners: Owners | None,
    alike: Alike | None,
) -> Any:
    """What the model says to tokens, with their mask and positions; rows that are alike pass the lower layers once."""
    import torch

    if owners is not None:
        owners.announce()
    with torch.inference_mode(), ExitStack() as reading:
        if owners is not None and owners.lower is not None and alike is not None and alike.some:
            firsts = reading.enter_context(owners.lower.reading(cache, alike))
            tokens, mask, positions = (one[firsts] for one in inputs)
        else:
            tokens, mask, positions = inputs
        return model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        )


def read_prompts(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    pad_id: int,
    room: int,
    owners: Owners | None = None,
) -> State:
    """As `prefill`, but on a processor what many prompts begin with is read once, where that saves work.

    The same questions of a template share their first words: of EntityQuestions in batches of 64 by length a quarter to
    a third of all tokens need not be read. A GPU reads small batches in no time, and would wait for one reading more.

    Padding then stands between a beginning and the rest, which a model that counts distances in its cache (ALiBi) would
    count too; such models do not use transformers' attention interface, and read each prompt whole.
    """
    import torch

    from recollect.generate.cache import is_in_place, set_aside

    mine = [0] * len(prompts) if owners is None else owners.adapters.tolist()
    by_position = can_be_packed(model) and not getattr(model.config.get_text_config(), "alibi", False)
    cut = shared_length(prompts, mine) if model.device.type == "cpu" and by_position else 0
    if not cut or not is_in_place(set_aside(model, max(map(len, prompts)), room, len(prompts))):
        return prefill(model, prompts, pad_id, room=room, owners=owners)
    places: dict[tuple[object, ...], int] = {}
    of = [places.setdefault(key, len(places)) for key in _beginnings(prompts, mine, cut)]
    first = torch.as_tensor([of.index(place) for place in range(len(places))])
    longest = max(map(len, prompts)) - cut
    beginnings = [prompts[row][:cut] for row in first.tolist()]
    read = prefill(model, beginnings, pad_id, room=longest + room, owners=owners and owners.of(first))
    state = read.taken(torch.as_tensor(of), longest + room)
    state.owners = owners
    tokens, real = _padded([prompt[cut:] for prompt in prompts], pad_id)
    state.read(tokens, real)
    return state


def shared_length(prompts: Sequence[Sequence[int]], owners: Sequence[int]) -> int:
    """How many tokens of all prompts to read first, each beginning once for its owner, so that fewest are read at all;
    0 where reading each prompt whole reads not many more."""
    shortest, longest = min(map(len, prompts)), max(map(len, prompts))
    least, best = _WORTH * len(prompts) * longest, 0
    for cut in range(1, shortest):
        distinct = len(set(_beginnings(prompts, owners, cut)))
        if (reads := distinct * cut + len(prompts) * (longest - cut)) < least:
            least, best = reads, cut
    return best


def _beginnings(prompts: Sequence[Sequence[int]], owners: Sequence[int], cut: int) -> Iterator[tuple[object, ...]]:
    return ((owner, *prompt[:cut]) for owner, prompt in zip(owners, prompts, strict=True))


def continuation_logprobs(
    state: State, rows: Sequence[int], continuations: Sequence[Sequence[int]], temperature: float
) -> list[list[float]]:
    """Log-probability of each token of each continuation of the given row, at a temperature, by teacher forcing.

    `state` stays as it is. Returns one list per continuation, as long as it, of ln softmax(z / T)[token].
    """
    import torch

    if not rows:
        return []
    device = state.mask.device
    width = max(map(len, continuations))
    size = max(1, _LOGIT_BUDGET // (max(1, width - 1) * state.logits.shape[1]))
    if len(rows) > size:
        found: list[list[float]] = []
        for at in range(0, len(rows), size):
            found += continuation_logprobs(state, rows[at : at + size], continuations[at : at + size], temperature)
        return found
    index = torch.as_tensor(list(rows), device=device)
    tokens = torch.zeros((len(rows), width), dtype=torch.long, device=device)
    real = torch.zeros_like(tokens)
    for row, ids in enumerate(continuations):
        tokens[row, : len(ids)] = torch.as_tensor(ids, dtype=torch.long)
        real[row, : len(ids)] = 1
    first = state.logits[index][:, None]
    if width > 1:
        later = state.taken(index, width - 1).read(tokens[:, :-1], real[:, :-1], keep=width - 1)
        first = torch.cat([first, later], dim=1)
    with torch.inference_mode():
        chosen = logprobs_of(first, tokens, temperature).cpu()
    return [chosen[row, : len(ids)].tolist() for row, ids in enumerate(continuations)]


def greedy(
    model: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Collection[int],
    pad_id: int = 0,
    owners: Owners | None = None,
) -> list[list[int]]:
    """The most likely continuation of each prompt, at most `max_new_tokens` long, without the stop token."""
    import torch

    stops = set(stop_ids)
    said: list[list[int]] = [[] for _ in prompt_ids]
    alive = list(range(len(prompt_ids)))
    state = read_prompts(model, prompt_ids, pad_id, max_new_tokens, owners)
    for step in range(max_new_tokens):
        tokens = state.logits.argmax(dim=-1).tolist()
        keep = [at for at, token in enumerate(tokens) if token not in stops]
        for at in keep:
            said[alive[at]].append(tokens[at])
        if not keep or step + 1 == max_new_tokens:
            break
        alive = [alive[at] for at in keep]
        device = state.mask.device
        state.select(torch.as_tensor(keep, device=device))
        state.read(torch.as_tensor([tokens[at] for at in keep], device=device)[:, None])
    return said


def _padded(texts: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The texts as tokens [rows, longest], padded on the left, and 1 where they are no padding."""
    import torch

    length = max(map(len, texts))
    tokens = torch.full((len(texts), length), pad_id, dtype=torch.long)
    mask = torch.zeros((len(texts), length), dtype=torch.long)
    for row, text in enumerate(texts):
        tokens[row, length - len(text) :] = torch.as_tensor(text, dtype=torch.long)
        mask[row, length - len(text) :] = 1
    return tokens, mask


_WORTH = 0.9  # of the tokens of whole prompts: what reading beginnings first must come under
_LOGIT_BUDGET = 1 << 26  # numbers of one block of logits: a quarter of a gigabyte in float32
