"""Several adapters of one base as several engines, which are asked as one: their prompts are rows of one batch.

Notable choices
- To a step, its adapter is an engine like any other. What all of them ask at a time comes here as one list
  (see `turns`), is sorted by length, cut into batches that memory holds, and read with each row's own adapter.
- Results are those of each adapter alone but for rounding: other rows beside them change the last digits of a sum.
  Draws stay addressed.
- What several adapters read alike passes the layers below the first adapted one once (see `lower`), where a trial of a
  few tokens gives what it gives without; the rest of what they read, and single tokens, each reads itself.
- Out of memory, batches are halved and the work goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np

from recollect.core.machine import free_memory, give_back_memory
from recollect.errors import ModelError, memory_ran_out
from recollect.generate.engine import Ask, Decided, Drawn, Ids, Sampling
from recollect.generate.state import Owners, prefill
from recollect.generate.transformers import TransformersEngine, cached_numbers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from recollect.generate.lower import LowerLayers
    from recollect.models import LoadedModel

_ROWS_ON_A_CPU = 512
"""Rows of a batch on a processor: more make no product faster, and take memory."""
_SHARE = 0.25  # of the free memory, for caches and logits


class Owned(Protocol):
    """What tells the model's modules whose each row is: `models.stacked.Rows`."""

    def belong_to(self, owners: Sequence[int]) -> None:
        """Whose each row of the next reading is."""

    def sorted(self, adapters: Sequence[int]) -> list[int]:
        """The adapters in the order in which they pass fastest side by side."""


@dataclass(frozen=True)
class Greedy:
    """Greedy answers to prompts."""

    prompts: Sequence[Ids]
    max_new_tokens: int


@dataclass(frozen=True)
class Scored:
    """Log-probabilities of continuations."""

    prompts: Sequence[Ids]
    continuations: Sequence[Sequence[Ids]]
    temperature: float


@dataclass(frozen=True)
class Sampled:
    """Draws."""

    asks: Sequence[Ask]
    how: Sampling
    decided: Decided | None


@dataclass(frozen=True)
class Tested:
    """The self-test of one adapter."""

    temperature: float
    top_k: int


Question: TypeAlias = "Greedy | Scored | Sampled | Tested"
Asks = Callable[[Question], Any]
_Kind = TypeVar("_Kind", Greedy, Scored, Sampled, Tested)


class OneOfMany(TransformersEngine):
    """One adapter of those on a base, as an engine: what it is asked is answered beside what the others are asked."""

    def __init__(self, loaded: LoadedModel, ask: Asks) -> None:
        super().__init__(loaded)
        self._ask = ask

    def greedy(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[list[int]]:
        """As alone."""
        said: list[list[int]] = self._ask(Greedy(prompts, max_new_tokens)) if prompts else []
        return said

    def sample(self, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        """As alone."""
        drawn: list[Drawn] = self._ask(Sampled(asks, how, decided)) if asks else []
        return drawn

    def score(
        self, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], temperature: float = 1.0
    ) -> list[list[list[float]]]:
        """As alone."""
        scores: list[list[list[float]]] = self._ask(Scored(prompts, continuations, temperature)) if prompts else []
        return scores

    def self_test(self, temperature: float, top_k: int = 0) -> float | None:
        """As alone, and after the others'."""
        p_value: float | None = self._ask(Tested(temperature, top_k))
        return p_value


@dataclass(frozen=True)
class _Row:
    """One prompt of a question."""

    member: int
    place: int
    """Among the member's prompts."""
    prompt: Ids


class Together(TransformersEngine):
    """The adapters of one base as one engine.

    rows: tells the base's modules whose each row is. adapted: the names of those with an adapter.
    """

    def __init__(self, loaded: LoadedModel, rows: Owned, adapters: int, adapted: Iterable[str] = ()) -> None:
        from recollect.generate.lower import lower_layers

        super().__init__(loaded)
        self._rows = rows
        self._rank = {adapter: rank for rank, adapter in enumerate(rows.sorted(range(adapters)))}
        self._lower = _checked(lower_layers(loaded.model, adapted), loaded.model, self._pad, rows.belong_to)
        """The layers below the first adapted one, where rows that are read alike can be computed once."""
        self.most_rows = self._fitting(adapters)
        """Rows of one batch at most; fewer after memory ran out."""

    def answer(self, asked: Mapping[int, Question]) -> dict[int, Any]:
        """What each adapter asks, by its number; alike questions are answered in one batch."""
        found: dict[int, Any] = {}
        alike: dict[Any, list[int]] = {}
        for member, question in asked.items():
            alike.setdefault(_kind(question), []).append(member)
        for members in alike.values():
            found |= self._answer({member: asked[member] for member in members})
        return found

    def _answer(self, asked: Mapping[int, Question]) -> dict[int, Any]:
        try:
            if greedy := _only(Greedy, asked):
                return self._greedy(greedy)
            if scored := _only(Scored, asked):
                return self._scored(scored)
            if sampled := _only(Sampled, asked):
                return self._sampled(sampled)
        except Exception as error:  # of one batch for all of them, so it is each one's
            return dict.fromkeys(asked, error)
        return {member: self._tested(member, one) for member, one in _only(Tested, asked).items()}

    def _greedy(self, asked: Mapping[int, Greedy]) -> dict[int, Any]:
        longest = next(iter(asked.values())).max_new_tokens

        def read(rows: Sequence[_Row]) -> list[list[int]]:
            return self.greedy([row.prompt for row in rows], longest)

        return self._in_batches({member: one.prompts for member, one in asked.items()}, read, 1)

    def _scored(self, asked: Mapping[int, Scored]) -> dict[int, Any]:
        temperature = next(iter(asked.values())).temperature

        def read(rows: Sequence[_Row]) -> list[list[list[float]]]:
            continuations = [asked[row.member].continuations[row.place] for row in rows]
            return self.score([row.prompt for row in rows], continuations, temperature)

        return self._in_batches({member: one.prompts for member, one in asked.items()}, read, 1)

    def _sampled(self, asked: Mapping[int, Sampled]) -> dict[int, Any]:
        how = next(iter(asked.values())).how

        def read(rows: Sequence[_Row]) -> list[Drawn]:
            def decided(at: int, ids: list[int]) -> bool:
                judge = asked[rows[at].member].decided
                return judge is not None and judge(rows[at].place, ids)

            judged = any(asked[row.member].decided is not None for row in rows)
            asks = [asked[row.member].asks[row.place] for row in rows]
            return self.sample(asks, how, decided if judged else None)

        prompts = {member: [ask.prompt for ask in one.asks] for member, one in asked.items()}
        width = max(ask.draws for one in asked.values() for ask in one.asks)
        return self._in_batches(prompts, read, max(1, width))

    def _tested(self, member: int, asked: Tested) -> float | Exception | None:
        """The self-test, which runs the model as it likes: every row is this adapter's meanwhile."""

        def announce(_: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
            ids = given["input_ids"] if "input_ids" in given else args[0]
            self._rows.belong_to([member] * len(ids))

        hook = self._model.register_forward_pre_hook(announce, with_kwargs=True)
        try:
            return self.self_test(asked.temperature, asked.top_k)
        except Exception as error:
            return error
        finally:
            hook.remove()

    def _in_batches(
        self, prompts: Mapping[int, Sequence[Ids]], read: Callable[[Sequence[_Row]], Sequence[Any]], width: int
    ) -> dict[int, Any]:
        """What `read` gives of each prompt, by member; `width`: rows that a prompt becomes."""
        found: dict[int, list[Any]] = {member: [None] * len(some) for member, some in prompts.items()}
        rows = [_Row(member, at, ids) for member, some in prompts.items() for at, ids in enumerate(some)]
        rows.sort(key=lambda row: (len(row.prompt), row.place, row.member))
        at = 0
        while at < len(rows):
            size = max(1, self.most_rows // width)
            size = max(size - size % len(prompts), 1) if size < len(rows) - at else size
            some = sorted(rows[at : at + size], key=lambda row: (self._rank[row.member], len(row.prompt), row.place))
            try:
                with self._owned([row.member for row in some]):
                    answers = read(some)
            except (RuntimeError, MemoryError) as error:
                if len(some) == 1 or not memory_ran_out(error):
                    raise
                self.most_rows = max(1, len(some) * width // 2)
                del error
                give_back_memory()
                continue
            for row, answer in zip(some, answers, strict=True):
                found[row.member][row.place] = answer
            at += size
        return found

    @contextmanager
    def _owned(self, adapters: Sequence[int]) -> Iterator[None]:
        """Questions of which each prompt is one adapter's, while the block is open."""
        self._owners = Owners(np.asarray(adapters, dtype=np.int64), self._rows.belong_to, self._lower)
        try:
            yield
        finally:
            self._owners = None

    def _fitting(self, adapters: int) -> int:
        """Rows that a share of the free memory holds, with their caches and logits."""
        vocabulary = int(self._model.config.get_text_config().vocab_size)
        numbers = 2 * vocabulary + _TOKENS * cached_numbers(self._model)
        rows = int(_SHARE * free_memory(str(self._model.device)) / (self._model.dtype.itemsize * numbers))
        most = _ROWS_ON_A_CPU if self.machine.device == "cpu" else 4096
        return max(adapters, min(most, rows))


_TRIED = ([5], [5, 6], [7, 6, 5], [8, 9], [9, 8, 7])
"""Prompts of a trial: five, which is the size of nothing else, of different lengths, so that there is padding."""
_FOLLOWED = [[4, 5], [6, 4], [5, 5], [8, 7], [7, 7]]
_NEAR = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""How far logits of the trial may be apart, as a share of the largest: sums of other shapes round otherwise."""


def _checked(
    lower: LowerLayers | None, model: PreTrainedModel, pad: int, say: Callable[[Sequence[int]], None]
) -> LowerLayers | None:
    """The lower layers, if a trial of a few tokens says the same with each distinct row computed once there as without;
    else None, and every row is read whole."""
    import torch

    if lower is None:
        return None
    prompts = [list(one) for _ in range(2) for one in _TRIED]
    plain = Owners(np.repeat([0, 1], len(_TRIED)), say)
    device, rows = model.device, torch.as_tensor([9, 0, 5, 5, 4, 8])
    read = {}
    try:
        for way, owners in (("plain", plain), ("once", replace(plain, lower=lower))):
            with lower.learning():
                state = prefill(model, prompts, pad, room=4, owners=owners)
            if way == "once" and state.alike is None:  # its caches are not in place
                return None
            first = state.logits
            state.read(torch.as_tensor(_FOLLOWED * 2, device=device))
            second = state.logits
            state.advance(rows.to(device), torch.as_tensor([4, 5, 6, 7, 8, 9], device=device))
            read[way] = torch.cat([first, second, state.logits]).float()
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, ModelError):
        return None  # whatever it does, it does otherwise; the questions themselves will tell what is amiss
    apart, largest = (read["plain"] - read["once"]).abs().max(), read["plain"].abs().max()
    return lower if bool(apart <= _NEAR.get(str(model.dtype).removeprefix("torch."), 0.0) * largest) else None


_TOKENS = 96  # prompt and answer, for the memory of a row


def _kind(question: Question) -> Any:
    """What two questions must have in common to be answered in one batch."""
    if isinstance(question, Greedy):
        return "greedy", question.max_new_tokens
    if isinstance(question, Scored):
        return "scored", question.temperature
    if isinstance(question, Sampled):
        return "sampled", question.how
    return "tested"


def _only(kind: type[_Kind], asked: Mapping[int, Question]) -> dict[int, _Kind]:
    """The questions, where they are of this kind; they are all of one."""
    return {member: one for member, one in asked.items() if isinstance(one, kind)}
