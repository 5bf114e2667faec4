"""Many LoRA adapters on one resident base: each row of a batch passes through the factors of its own adapter.

    stacked = put_together(model, [first, second, third])   # factors, as `factors_of` or `read_factors` gives them
    stacked.rows.belong_to([0, 0, 1, 2])                    # whose each row of the next forward is
    model(input_ids)                                        # four rows, three adapters, one pass
    stacked.take_off()                                      # the base as it was

Notable choices
- A `StackedLinear` takes the place of each adapted module and calls it as it is; so whatever PEFT's Linear handles
  (transposed layers, quantised ones) is handled, and nothing of the base is copied or changed.
- Rows only ever meet their own factors, so neither values nor gradients of two adapters mix.
- Adapters with the same modules and ranks are one group (ranks count as the next power of two, and what is padded is
  zero and stays zero). A group's factors are one matrix, a row for each adapter: neighbours with equally many rows are
  one batched product, an optimizer walks over all modules at once, and one adapter's gradient is one row.
- On a GPU, where the arithmetic is a hundredth of a pass's time, fewer kernels count more than numbers: adapters of all
  ranks are one group that is padded to the highest, as long as that takes little memory (`one_group_pays`).
- Modules that are not called with a batch's rows (experts, each on the tokens that are sent to it) are refused by name:
  nobody could say there whose a token is. A flat list of all tokens in their order is a batch's rows (see `rows`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from recollect.core.machine import free_memory
from recollect.errors import InputError
from recollect.models.factors import Factors as Factors
from recollect.models.factors import NotByRows as NotByRows
from recollect.models.factors import Product as Product
from recollect.models.factors import factors_of as factors_of
from recollect.models.factors import features as features
from recollect.models.factors import read_factors as read_factors
from recollect.models.factors import refuse_uncalled as refuse_uncalled
from recollect.models.factors import refuse_unfit as refuse_unfit
from recollect.models.factors import why_not_stacked as why_not_stacked
from recollect.models.rows import Rows as Rows
from recollect.models.rows import Run as Run


@dataclass(frozen=True)
class Place:
    """Where a module's factors lie in the matrix of a group."""

    start: int
    rank: int
    """A power of two."""
    inside: int
    outside: int

    @property
    def end(self) -> int:
        return self.start + self.rank * (self.inside + self.outside)


class Group:
    """Adapters with the same modules and padded ranks: their factors as one matrix, a row for each adapter."""

    def __init__(self, members: Sequence[int], adapters: Sequence[Factors], model: nn.Module, trained: bool) -> None:
        self.members = list(members)
        """The adapters of its rows."""
        self.places: dict[str, Place] = {}
        end = 0
        for name, product in adapters[self.members[0]].items():
            rank = _padded(max(adapters[member][name].a.shape[0] for member in self.members))
            self.places[name] = Place(end, rank, product.a.shape[1], product.b.shape[0])
            end = self.places[name].end
        device = next(iter(model.parameters())).device
        self.values = torch.zeros(len(self.members), end, device=device)
        """[adapters, numbers of one adapter], float32."""
        self.gradients = torch.zeros_like(self.values) if trained else None
        self.scales: dict[str, list[float]] = {}
        for name in self.places:
            products = [adapters[member][name] for member in self.members]
            self.scales[name] = [product.scale for product in products]
            for row, product in enumerate(products):
                a, b = self.pair(row, name, product.a.shape[0])
                a.copy_(product.a)
                b.copy_(product.b.T)

    def pair(self, row: int, name: str, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One adapter's a [rank, in] and b transposed [rank, out] for a module, without padding: views."""
        return self.parts(self.values[row], name, rank)

    def parts(self, numbers: torch.Tensor, name: str, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same in a row of numbers that is laid out as those of `values`."""
        a, b = _views(numbers, self.places[name])
        return a[:rank], b[:rank]


def _padded(rank: int) -> int:
    return 1 << (rank - 1).bit_length()


def _views(values: torch.Tensor, place: Place) -> tuple[torch.Tensor, torch.Tensor]:
    """The two factors in rows of numbers, [..., numbers]."""
    middle, lead = place.start + place.rank * place.inside, values.shape[:-1]
    a = values[..., place.start : middle].view(*lead, place.rank, place.inside)
    return a, values[..., middle : place.end].view(*lead, place.rank, place.outside)


@dataclass(frozen=True)
class Stack:
    """The factors of a group's adapters for one module, and where their gradients are summed up."""

    a: torch.Tensor
    """[adapters, rank, in]"""
    b: torch.Tensor
    """[adapters, rank, out]"""
    scale: torch.Tensor
    """[adapters, 1, 1]"""
    a_gradient: torch.Tensor | None = None
    b_gradient: torch.Tensor | None = None

    def of(self, run: Run) -> Stack:
        """The part of a run's adapters."""
        part = slice(run.first, run.first + run.adapters)
        sums = (None if one is None else one[part] for one in (self.a_gradient, self.b_gradient))
        return Stack(self.a[part], self.b[part], self.scale[part], *sums)


class _Passed(NamedTuple):
    """What a run leaves for its backward."""

    x: torch.Tensor
    """[adapters, n, in], after dropout."""
    hidden: torch.Tensor
    mask: torch.Tensor | None
    scale: torch.Tensor


class _Change(torch.autograd.Function):
    """A module's output with each run's scale x a b added; its backward adds to the gradients where they lie.

    One function for all runs, so that each row is read and written once. Autograd itself would want gradients laid out
    as it likes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, out: torch.Tensor, _: torch.Tensor, rows: Rows, stacks: dict[int, Stack]
    ) -> torch.Tensor:
        """The third only tells autograd that there is something to train."""
        result, computed = torch.empty_like(out), _computed_in(x)
        kept: list[torch.Tensor | None] = []
        ctx.runs, ctx.into = [], x.dtype
        with torch.autocast(x.device.type, enabled=False):
            for run in rows.runs:
                own, to = out[run.start : run.stop], result[run.start : run.stop]
                if run.group not in stacks:
                    to.copy_(own)
                    continue
                stack = stacks[run.group].of(run)
                passed = _into_hidden(x[run.start : run.stop].to(computed), run, stack, rows)
                _add_change(own, passed.hidden, stack, to)
                ctx.runs.append((run, stack))
                kept += passed
        ctx.save_for_backward(*kept)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        [gradient] = gradients
        into, kept = None, iter(ctx.saved_tensors)
        for (run, stack), (x, hidden, mask, scale) in zip(ctx.runs, zip(*[kept] * 4, strict=True), strict=True):
            own = gradient[run.start : run.stop].to(x.dtype).reshape(run.adapters, -1, gradient.shape[-1])
            inner = torch.bmm(own, stack.b.to(x.dtype).mT).mul_(scale)
            if stack.a_gradient is not None and stack.b_gradient is not None:
                _add_product(stack.a_gradient, inner.mT, x)
                _add_product(stack.b_gradient, hidden.mT, own)
            if not ctx.needs_input_grad[0]:
                continue
            back = torch.bmm(inner, stack.a.to(x.dtype))
            if mask is not None:
                back.mul_(mask)
            if into is None:
                into = gradient.new_zeros(*gradient.shape[:-1], x.shape[-1], dtype=ctx.into)
            into[run.start : run.stop] = back.view(run.stop - run.start, *into.shape[1:])
        return into, gradient, None, None, None


def _into_hidden(x: torch.Tensor, run: Run, stack: Stack, rows: Rows) -> _Passed:
    """A run's inputs through dropout and a."""
    scale, mask = stack.scale, None
    drawn = rows.dropout(run, x) if rows.dropout is not None else None
    x = x.reshape(run.adapters, -1, x.shape[-1])
    if drawn is not None:
        mask = drawn[0].reshape(x.shape)
        x, scale = x * mask, scale * drawn[1]
    hidden = torch.bmm(x, stack.a.to(x.dtype).mT).mul_(scale)
    return _Passed(x, hidden, mask, scale)


def _add_change(out: torch.Tensor, hidden: torch.Tensor, stack: Stack, to: torch.Tensor) -> None:
    """Write out + hidden b."""
    b = stack.b.to(hidden.dtype)
    if out.dtype == hidden.dtype and to.is_contiguous():
        shape = (len(hidden), -1, out.shape[-1])
        torch.baddbmm(out.reshape(shape), hidden, b, out=to.view(shape))
    else:  # as PEFT does: added in the finer format, rounded once
        to.copy_(out + torch.bmm(hidden, b).view(out.shape))


def _add_product(to: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    if left.dtype == to.dtype:
        to.baddbmm_(left, right)
    else:
        to += torch.bmm(left, right)


class StackedLinear(nn.Module):
    """A module of the base, and beside it the factors of all adapters; each row gets its own adapter's."""

    def __init__(self, name: str, base: nn.Module, rows: Rows, stacks: dict[int, Stack]) -> None:
        super().__init__()
        self.name, self.base, self.rows, self.stacks = name, base, rows, stacks
        trained = any(stack.a_gradient is not None for stack in stacks.values())
        self.trained = torch.zeros(0, requires_grad=trained)
        self.called = False
        """Whether the model has ever called it."""

    @property
    def weight(self) -> Any:
        """The base's, for models that look at it."""
        return self.base.weight

    @property
    def bias(self) -> Any:
        """The base's."""
        return self.base.bias

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The base's output, and each row's own change."""
        out: torch.Tensor = self.base(x, *args, **kwargs)
        rows, self.called = self.rows, True
        own = rows.rows_of(x, self.name)
        to = out.reshape(*own.shape[:2], out.shape[-1])
        apply: Any = _Change.apply
        if rows.order is None:
            found: torch.Tensor = apply(own, to, self.trained, rows, self.stacks)
        else:
            found = apply(own[rows.order], to[rows.order], self.trained, rows, self.stacks)[rows.back]
        return found.reshape(out.shape)


def _computed_in(x: torch.Tensor) -> torch.dtype:
    """As PEFT's layers do: in mixed precision in its format, else in float32, as the factors are."""
    mixed = torch.is_autocast_enabled(x.device.type)
    return torch.get_autocast_dtype(x.device.type) if mixed else torch.float32


@dataclass
class Stacked:
    """A model with the factors of many adapters beside its modules."""

    model: nn.Module
    rows: Rows
    groups: list[Group]
    modules: dict[str, StackedLinear] = field(default_factory=dict)
    heard: Any = None
    """What tells the rows how long they are; it is taken off too."""

    def home(self, adapter: int) -> tuple[Group, int]:
        """The group of an adapter, and its row there."""
        group, row = self.rows._homes[adapter]
        return self.groups[group], row

    def factors(self, adapter: int, ranks: Mapping[str, int]) -> dict[str, Product]:
        """The factors of one adapter as they are now, without padding; views.

        ranks: of each of its modules.
        """
        group, row = self.home(adapter)
        found = {}
        for name, rank in ranks.items():
            a, b = group.pair(row, name, rank)
            found[name] = Product(a, b.T, group.scales[name][row])
        return found

    def unheard(self, adapter: int) -> bool:
        """Whether no module of an adapter was called yet: after a forward, it has no say in this model."""
        group, _ = self.home(adapter)
        return not any(self.modules[name].called for name in group.places)

    def take_off(self) -> None:
        """Give the base back exactly as it was."""
        for name, module in self.modules.items():
            _put(self.model, name, module.base)
        self.modules.clear()
        self.heard.remove()


TRAINED_BYTES = 4 * 4
"""What a factor's number takes while it is trained: itself, its gradient, two moments; in float32."""
_FIRST_BYTES = 4
"""And what it takes beside that, unpadded: as PEFT made it, to be put beside the base anew when memory runs out."""
_SHARE_FOR_PADDING = 0.1
"""Of the free memory, what the factors may take once all are padded to the highest rank; not tuned."""


def trained_bytes(model: nn.Module, ranks: Mapping[str, int]) -> int:
    """What an adapter with these ranks, by the names of its modules, takes while it is trained among others."""
    total = 0
    for name, rank in ranks.items():
        module: Any = model.get_submodule(name)
        sides = sum(features(module) or module.weight.shape)
        total += sides * (TRAINED_BYTES * _padded(rank) + _FIRST_BYTES * rank)
    return total


def one_group_pays(adapters: Sequence[Factors], device: torch.device) -> bool:
    """Whether adapters of different ranks should be padded to one: on a GPU that has room for it."""
    if device.type == "cpu":
        return False
    widest: dict[str, int] = {}
    for adapter in adapters:
        for name, product in adapter.items():
            numbers = _padded(product.a.shape[0]) * (product.a.shape[1] + product.b.shape[0])
            widest[name] = max(widest.get(name, 0), numbers)
    most = TRAINED_BYTES * len(adapters) * sum(widest.values())
    return most <= _SHARE_FOR_PADDING * free_memory(str(device))


def put_together(model: nn.Module, adapters: Sequence[Factors], trained: bool = False) -> Stacked:
    """Put the adapters beside the model's modules, all at once; the base itself is not changed.

    trained: the factors get gradients, in the matrices `gradients` of their groups.

    Raises InputError for an adapter of another base (a module or a shape that is not there), or no adapter; NotByRows
    for one on a module that the model does not call.
    """
    if not adapters or not all(adapters):
        raise InputError("adapters that pass together must be one or more, each with at least one module.")
    for number, adapter in enumerate(adapters):
        refuse_unfit(model, number, adapter)
        refuse_uncalled(model, adapter)
    alike = one_group_pays(adapters, next(iter(model.parameters())).device)
    groups, homes = _grouped(model, adapters, trained, alike)
    rows = Rows(homes)
    stacked = Stacked(model, rows, groups)
    stacks: dict[str, dict[int, Stack]] = {}
    for index, group in enumerate(groups):
        for name, place in group.places.items():
            stacks.setdefault(name, {})[index] = _stack(group, name, place)
    for name, of_groups in stacks.items():
        stacked.modules[name] = StackedLinear(name, model.get_submodule(name), rows, of_groups)
    for name, module in stacked.modules.items():
        _put(model, name, module)
    stacked.heard = model.register_forward_pre_hook(rows.hear, with_kwargs=True)
    return stacked


def _grouped(
    model: nn.Module, adapters: Sequence[Factors], trained: bool, alike: bool
) -> tuple[list[Group], list[tuple[int, int]]]:
    found: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for number, adapter in enumerate(adapters):
        key = tuple((name, 0 if alike else _padded(product.a.shape[0])) for name, product in adapter.items())
        found.setdefault(key, []).append(number)
    groups = [Group(members, adapters, model, trained) for members in found.values()]
    homes = [(0, 0)] * len(adapters)
    for index, group in enumerate(groups):
        for row, member in enumerate(group.members):
            homes[member] = (index, row)
    return groups, homes


def _stack(group: Group, name: str, place: Place) -> Stack:
    a, b = _views(group.values, place)
    scale = torch.tensor(group.scales[name], device=a.device).reshape(-1, 1, 1)
    return Stack(a, b, scale, *(() if group.gradients is None else _views(group.gradients, place)))


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)
