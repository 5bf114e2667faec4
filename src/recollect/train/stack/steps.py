"""The updates of one adapter of many: AdamW, the schedule of its rate, the clipping of its gradient.

The libraries' own, on the adapter's one row of numbers. Its checkpoint is what they would write of it alone, tensor by
tensor, so that a training resumes either way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from transformers import get_scheduler

from recollect.models.stacked import Group
from recollect.train.settings import TrainSettings

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Steps:
    """The optimizer of one adapter, whose numbers are a row of its group's."""

    def __init__(self, group: Group, row: int, ranks: Mapping[str, int], settings: TrainSettings, steps: int) -> None:
        assert group.gradients is not None
        self.group, self.row, self.ranks, self.settings = group, row, ranks, settings
        self.numbers = group.values[row]
        self.gradient = group.gradients[row]
        self.numbers.grad = self.gradient
        kinds = [
            {"params": [self.numbers], "weight_decay": settings.weight_decay},
            {"params": [], "weight_decay": 0.0},  # what transformers lets not decay: nothing here
        ]
        self.adamw = torch.optim.AdamW(kinds, lr=float(settings.learning_rate), fused=True)
        self.schedule = get_scheduler(
            "constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
            self.adamw,
            num_warmup_steps=math.ceil(steps * settings.warmup_ratio),
            num_training_steps=steps,
        )

        self.last_rate = 0.0
        """That of the update that was made last."""

    def step(self) -> torch.Tensor:
        """Make one update of the gradient that was summed up, and clear it; returns the gradient's length."""
        most = self.settings.max_grad_norm or math.inf
        length = torch.nn.utils.clip_grad_norm_([self.numbers], most)
        self.last_rate = float(self.schedule.get_last_lr()[0])
        self.adamw.step()
        self.schedule.step()
        self.gradient.zero_()
        return length

    def state(self) -> tuple[dict[str, object], dict[str, object]]:
        """Optimizer and schedule as the libraries write them of an adapter that is alone."""
        [own, other] = self.adamw.state_dict()["param_groups"]
        moments = self.adamw.state.get(self.numbers, {})
        state = {}
        if moments:
            pairs = zip(*(self._tensors(moments[name]) for name in _MOMENTS), strict=True)
            for number, pair in enumerate(pairs):
                parts = (value.clone() for value in pair)
                state[number] = {"step": moments["step"].cpu().clone(), **dict(zip(_MOMENTS, parts, strict=True))}
        kinds = [{**own, "fused": None, "params": list(range(2 * len(self.ranks)))}, {**other, "fused": None}]
        return {"state": state, "param_groups": kinds}, self.schedule.state_dict()

    def load(self, optimizer: Mapping[str, Any], schedule: Mapping[str, Any]) -> None:
        """Take up what `state`, or the libraries, wrote."""
        self.schedule.load_state_dict(dict(schedule))
        for kind, given in zip(self.adamw.param_groups, optimizer["param_groups"], strict=True):
            kind["lr"] = given["lr"]
        if not optimizer["state"]:
            return
        moments = {name: torch.zeros_like(self.numbers) for name in _MOMENTS}
        for name, whole in moments.items():
            for number, part in enumerate(self._tensors(whole)):
                part.copy_(optimizer["state"][number][name])
        step = optimizer["state"][0]["step"].to(torch.float32).to(self.numbers.device)
        self.adamw.state[self.numbers] = {"step": step.clone(), **moments}

    def _tensors(self, row: torch.Tensor) -> Iterator[torch.Tensor]:
        """Both factors of each module, as PEFT has them, in rows of numbers: views."""
        for name, rank in self.ranks.items():
            a, b = self.group.parts(row, name, rank)
            yield a
            yield b.T
