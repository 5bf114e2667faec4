"""Whose each row of a batch is, for adapters that pass together.

A module's inputs are the batch's rows when they are [rows, n, in], [rows, 1, n, in] (keys that all heads share), or all
tokens as one list in their order (shared experts, routers, OPT). An expert that tokens are sent to gets some of them,
in an order of its own: its inputs are nobody's, even when they happen to be as many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import torch

from recollect.models.factors import NotByRows


@dataclass(frozen=True)
class Run:
    """Neighbouring rows of a batch that pass in one batched product."""

    group: int
    first: int
    """The first adapter's row in the group."""
    adapters: int
    start: int
    stop: int
    """Rows of the batch; equally many of each adapter."""


class Rows:
    """Whose each row of the next forward is; one object for all modules, set before each forward."""

    def __init__(self, homes: Sequence[tuple[int, int]]) -> None:
        self._homes = homes
        """Of each adapter: its group, and its row there."""
        self.owners: list[int] = []
        self.length = 0
        """Tokens of each row in the forward that runs."""
        self.runs: list[Run] = []
        self.order: torch.Tensor | None = None
        """Where neighbours would be torn apart: in which order the rows pass, and how they come back."""
        self.back: torch.Tensor | None = None
        self.dropout: Callable[[Run, torch.Tensor], tuple[torch.Tensor, torch.Tensor] | None] | None = None
        """For a run and its inputs: a mask of them, of zeros and ones, and by what is left is scaled up, [adapters, 1,
        1]; None where nothing is dropped."""

    def belong_to(self, owners: Sequence[int]) -> None:
        """Say the adapter of each row. Fastest where rows of one are together, adapters in the order of `sorted`."""
        self.owners = list(owners)
        stretches = [owner for owner, _ in groupby(self.owners)]
        order = None
        if len(stretches) > len(set(stretches)):
            order = sorted(range(len(self.owners)), key=lambda row: self._homes[self.owners[row]])
        self.order = None if order is None else torch.tensor(order)
        self.back = None if self.order is None else torch.argsort(self.order)
        self.runs = self._runs(self.owners if order is None else [self.owners[row] for row in order])

    def hear(self, _: Any, inputs: tuple[Any, ...], named: Mapping[str, torch.Tensor | None]) -> None:
        """What a model is called with."""
        given = (*inputs[:1], named.get("input_ids"), named.get("inputs_embeds"))
        self.length = next((int(one.shape[1]) for one in given if one is not None), 0)

    def rows_of(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """A module's inputs as [rows, n, in]; a view. Raises NotByRows."""
        rows = len(self.owners)
        if len(x) == rows and x.dim() == 3:
            return x
        if len(x) == rows and x.dim() == 4 and x.shape[1] == 1:
            return x.squeeze(1)
        if len(x) == rows * self.length and x.dim() == 2 and not _is_expert(name):
            return x.view(rows, self.length, x.shape[1])
        raise NotByRows(
            f"{name} is called with {tuple(x.shape)}, but the batch has {rows} rows: nobody can say whose its inputs "
            "are. Run the adapters one after another.",
            module=name,
        )

    def sorted(self, adapters: Sequence[int]) -> list[int]:
        """The adapters in the order in which those that can pass in one product are neighbours."""
        return sorted(adapters, key=self._homes.__getitem__)

    def _runs(self, owners: Sequence[int]) -> list[Run]:
        runs: list[Run] = []
        start = 0
        for owner, stretch in groupby(owners):
            stop = start + sum(1 for _ in stretch)
            group, row = self._homes[owner]
            last = runs[-1] if runs else None
            if (
                last
                and (last.group, last.first + last.adapters) == (group, row)
                and (last.stop - last.start) == (stop - start) * last.adapters
            ):
                runs[-1] = Run(group, last.first, last.adapters + 1, last.start, stop)
            else:
                runs.append(Run(group, row, 1, start, stop))
            start = stop
        return runs


def _is_expert(name: str) -> bool:
    """Whether a module lies in one of several experts, which are in lists: `mlp.experts.3.up_proj`."""
    parts = name.split(".")
    return any("expert" in part and after.isdigit() for part, after in pairwise(parts))
