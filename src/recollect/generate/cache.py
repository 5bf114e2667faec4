"""Keys and values of a batch in memory set aside once: written where they belong, moved only where a row moves.

transformers' own cache is concatenated for every token and gathered whole for every change of rows. Here
- a token's keys are written behind those before it, and attention reads a view;
- rows that stay where they are cost nothing (see `sampler.arrange`, which lets as many stay as can).

Only for layers of plain attention, and of sliding windows that nothing read here can outgrow: `set_aside` leaves every
other cache as it is (windows, linear attention, shared layers), and those keep transformers' own ways.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

_ROOM = 32  # tokens, where it is not known how many will follow


class InPlaceLayer(DynamicLayer):  # type: ignore[misc]  # transformers has no types
    """Keys and values [rows, heads, tokens, width], views of the memory set aside for `rows` and `room` tokens more."""

    def __init__(self, rows: int, room: int, window: int | None = None) -> None:
        super().__init__()
        self.is_sliding = window is not None  # masks are made by layer type, and ask for one of each
        self._window = window
        self._rows, self._room = rows, room
        self._memory: list[torch.Tensor] = []

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Set the memory aside, for the first tokens and the room behind them."""
        self.dtype, self.device = key_states.dtype, key_states.device
        rows, tokens = max(self._rows, key_states.shape[0]), key_states.shape[2] + self._room
        self._memory = [
            torch.empty(rows, new.shape[1], tokens, new.shape[3], dtype=new.dtype, device=new.device)
            for new in (key_states, value_states)
        ]
        self.keys, self.values = (
            memory[: new.shape[0], :, :0] for memory, new in self._pairs(key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new keys and values behind the others; all of them as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, start, stop = key_states.shape[0], self.get_seq_length(), self.get_seq_length() + key_states.shape[2]
        if self._window is not None and stop > self._window:
            raise RuntimeError(f"{stop} tokens are more than were announced, and than the window of {self._window}.")
        if stop > self._memory[0].shape[2]:
            self._grow(stop)
        for memory, new in self._pairs(key_states, value_states):
            memory[:rows, :, start:stop] = new
        self._look(rows, stop)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Tokens read."""
        return int(self.keys.shape[2]) if self.is_initialized else 0

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Row i becomes what row `beam_idx[i]` was; rows that stay are not touched."""
        self.move(beam_idx, moved_rows(beam_idx))

    def move(self, rows: torch.Tensor, moved: torch.Tensor) -> None:
        """As `reorder_cache`, where it is known already which rows move."""
        if not self.is_initialized:
            return
        tokens = self.get_seq_length()
        if len(rows) > self._memory[0].shape[0]:
            self._memory = [_wider(memory, rows, tokens) for memory in self._memory]
        elif len(moved):
            for memory in self._memory:
                memory[moved, :, :tokens] = memory[rows[moved], :, :tokens]
        self._look(len(rows), tokens)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """See `reorder_cache`."""
        self.reorder_cache(indices)

    def taken(self, rows: torch.Tensor, room: int) -> InPlaceLayer:
        """A layer of its own that holds these rows, with so much room behind."""
        other = InPlaceLayer(len(rows), room, self._window)
        if self.is_initialized:
            other.update(self.keys[rows], self.values[rows])
        return other

    def _look(self, rows: int, tokens: int) -> None:
        self.keys, self.values = (memory[:rows, :, :tokens] for memory in self._memory)

    def _pairs(self, keys: torch.Tensor, values: torch.Tensor) -> zip[tuple[torch.Tensor, torch.Tensor]]:
        return zip(self._memory, (keys, values), strict=True)

    def _grow(self, tokens: int) -> None:
        """Room for so many tokens, and half as many again."""
        before = self._memory
        self._memory = [
            torch.empty(
                old.shape[0], old.shape[1], tokens + tokens // 2, old.shape[3], dtype=old.dtype, device=old.device
            )
            for old in before
        ]
        for old, new in zip(before, self._memory, strict=True):
            new[:, :, : old.shape[2]] = old


def set_aside(model: PreTrainedModel, tokens: int, room: int | None, rows: int) -> Cache:
    """An empty cache for prompts of so many tokens, `room` tokens after each (None: unknown), and at most `rows` rows.

    In place where all layers allow it, else as transformers makes it.
    """
    cache = DynamicCache(config=model.config)
    windows: list[Any] = [getattr(layer, "sliding_window", None) for layer in cache.layers]
    plain = [
        type(layer) is DynamicLayer
        or (type(layer) is DynamicSlidingWindowLayer and room is not None and tokens + room <= window)
        for layer, window in zip(cache.layers, windows, strict=True)
    ]
    if all(plain):
        cache.layers = [InPlaceLayer(rows, _ROOM if room is None else room, window) for window in windows]
    return cache


def moved_rows(rows: torch.Tensor) -> torch.Tensor:
    """Which of the new rows were another one."""
    return (rows != torch.arange(len(rows), device=rows.device)).nonzero()[:, 0]


def select_rows(cache: Any, rows: torch.Tensor) -> None:
    """Keep (or repeat, or reorder) these rows of any cache."""
    if is_in_place(cache):
        moved = moved_rows(rows)  # once for all layers: it waits for the device
        for layer in cache.layers:
            layer.move(rows, moved)
    else:
        cache.reorder_cache(rows)  # batch_select_indices knows no recurrent states


def is_in_place(cache: Any) -> bool:
    """Whether all of a cache is in place."""
    layers = getattr(cache, "layers", [])
    return bool(layers) and all(isinstance(layer, InPlaceLayer) for layer in layers)


def keeps_states(cache: Any) -> bool:
    """Whether some layer remembers a state of fixed size (linear attention, convolution, state space) beside keys."""
    return any(hasattr(layer, "recurrent_states") for layer in getattr(cache, "layers", []))


def rows_of(cache: Cache, rows: torch.Tensor, room: int) -> Cache:
    """A cache of its own that holds these rows of one that is in place, with so much room behind."""
    return Cache(layers=[layer.taken(rows, room) for layer in cache.layers])


def _wider(memory: torch.Tensor, rows: torch.Tensor, tokens: int) -> torch.Tensor:
    wider = torch.empty(len(rows), *memory.shape[1:], dtype=memory.dtype, device=memory.device)
    wider[:, :, :tokens] = memory[rows, :, :tokens]
    return wider
