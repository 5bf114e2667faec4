"""The layers below the first adapted one: what several adapters read alike is computed there once for all of them.

    lower = lower_layers(model, ["model.layers.20.self_attn.q_proj", …])   # None where there is nothing below
    with lower.reading(cache, alike):
        model(input_ids=tokens[alike.first], …, past_key_values=cache)     # each distinct row once; logits of all rows

Notable choices
- The model is called with the distinct rows. Where the first adapted layer begins, hidden states are repeated to all
  rows, and so is whatever else the layers from there on are given by rows (masks, positions). Caches of the lower
  layers are repeated afterwards, so that from outside all is as if every row had been read whole.
- Which inputs of a layer go by rows, and which caches belong to the lower layers, is learned from one reading of a few
  tokens whose number of rows is no other size (see `learning`), and not guessed by model.
- Whoever uses it compares it with a plain reading first (see `together`): a model that does anything else between its
  layers is read the plain way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from recollect.generate.cache import InPlaceLayer, moved_rows
from recollect.generate.distribution import Ints


class Unlike(RuntimeError):
    """A layer is not given what it was given when that was learned."""


@dataclass(frozen=True)
class Alike:
    """Which rows of a batch have read the same, from their beginning."""

    numbers: Ints
    """[rows]: equal for equal rows."""
    firsts: Ints
    """One row of each number."""

    @classmethod
    def of(cls, before: Ints, tokens: torch.Tensor, mask: torch.Tensor) -> Alike:
        """Of rows that were alike as `before` says, after these tokens."""
        read = np.concatenate([before[:, None], tokens.cpu().numpy(), mask.cpu().numpy()], axis=1)
        _, firsts, numbers = np.unique(read, axis=0, return_index=True, return_inverse=True)
        return cls(numbers.reshape(-1).astype(np.int64), firsts.astype(np.int64))

    @property
    def some(self) -> bool:
        """Whether any two rows are."""
        return len(self.firsts) < len(self.numbers)


@dataclass
class LowerLayers:
    """The layers of one model, from the first one with an adapter on."""

    above: list[nn.Module]
    places: set[tuple[object, ...]] = field(default_factory=set)
    """Where a layer is given something by rows: names and numbers of its inputs."""
    caches: list[int] = field(default_factory=list)
    """Which of a cache's layers lie below."""
    _learning: bool = False

    @contextmanager
    def learning(self) -> Iterator[None]:
        """While open, readings tell what goes by rows."""
        self._learning = True
        try:
            yield
        finally:
            self._learning = False

    @contextmanager
    def reading(self, cache: Any, alike: Alike) -> Iterator[torch.Tensor]:
        """While open, the model reads distinct rows, those that are given, and its upper layers see all of them."""
        device = next(self.above[0].parameters()).device
        firsts, numbers = (torch.as_tensor(one, device=device) for one in (alike.firsts, alike.numbers))
        _move([cache.layers[at] for at in self.caches], firsts)
        repeat = _Repeat(self, numbers, len(alike.firsts))
        with ExitStack() as hooks:
            for layer in self.above:
                handle = layer.register_forward_pre_hook(repeat.inputs, with_kwargs=True)
                hooks.callback(handle.remove)
            yield firsts
        if not repeat.begun:
            raise Unlike("the model does not call the layers that it lists.")
        if self._learning:
            self.caches = [at for at, layer in enumerate(cache.layers) if layer.keys.shape[0] == len(alike.firsts)]
        _move([cache.layers[at] for at in self.caches], numbers)


class _Repeat:
    """What the upper layers see of one reading."""

    def __init__(self, lower: LowerLayers, numbers: torch.Tensor, distinct: int) -> None:
        self.lower, self.numbers, self.distinct = lower, numbers, distinct
        self.begun = False
        self._made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        """All layers are given the same masks: what was repeated is repeated once."""

    def inputs(self, _: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, Any]:
        """A layer's inputs, by all rows."""
        found = self._repeated(given, ()), self._repeated(named, ())
        hidden = given[0] if given else named.get("hidden_states")
        if not (isinstance(hidden, torch.Tensor) and hidden.dim() == 3):
            raise Unlike("the layers are not given hidden states by rows, tokens and numbers.")
        self.begun = True
        return found

    def _repeated(self, value: Any, place: tuple[object, ...]) -> Any:
        if isinstance(value, torch.Tensor):
            return self._rows(value, place)
        if type(value) in (tuple, list):
            return type(value)(self._repeated(one, (*place, at)) for at, one in enumerate(value))
        if type(value) is dict:
            return {name: self._repeated(one, (*place, name)) for name, one in value.items()}
        return value

    def _rows(self, value: torch.Tensor, place: tuple[object, ...]) -> torch.Tensor:
        fits = value.dim() > 1 and value.shape[0] == self.distinct
        if fits and self.lower._learning:
            self.lower.places.add(place)
        if place not in self.lower.places:
            return value
        if not fits:
            if value.dim() > 1 and value.shape[0] in (1, len(self.numbers)):
                return value
            raise Unlike(f"a layer is given {tuple(value.shape)} where it was given {self.distinct} rows.")
        if id(value) not in self._made:
            self._made[id(value)] = value, value.index_select(0, self.numbers)
        return self._made[id(value)][1]


def lower_layers(model: nn.Module, adapted: Iterable[str]) -> LowerLayers | None:
    """Of a model whose adapted modules have these names; None where the first layer has one, or one is in no layer."""
    lists, first = set[str](), []
    for name in adapted:
        parts = name.split(".")
        outer = next(
            (at for at in range(len(parts)) if isinstance(model.get_submodule(".".join(parts[:at])), nn.ModuleList)),
            None,
        )
        if outer is None:
            return None
        lists.add(".".join(parts[:outer]))
        first.append(int(parts[outer]))
    if len(lists) != 1 or min(first) == 0:
        return None
    layers = model.get_submodule(lists.pop())
    assert isinstance(layers, nn.ModuleList)
    return LowerLayers(list(layers)[min(first) :])


def _move(layers: list[InPlaceLayer], rows: torch.Tensor) -> None:
    moved = moved_rows(rows)
    for layer in layers:
        layer.move(rows, moved)
