"""Search spaces for those who name none, and the settings that are tried first.

Notable choices
- The ranges are ours. They hold the studies' settings (docs/studies.md §3, §6) well inside; B names no ranges.
- The first start is the baseline: the study's or the pocket's preset. The gain a search reports is over it.
- Further starts are settings known to work, chosen to differ in what matters most, the learning rate first: the best
  rate for adapters is about ten times the one for all parameters (docs/studies.md §6).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from recollect.experiments.search.parameters import Choice, Float, Int, Parameter
from recollect.experiments.search.space import Space
from recollect.shipped import Shipped
from recollect.train import PRESETS


def default_space(method: Literal["full", "lora"], shipped: Shipped | None, most: int, levels: bool) -> Space:
    """Sane ranges for a search.

    `shipped`: the small base model that comes with Recollect, whose rates are higher. `most`: how many training
    examples there are. `levels`: whether their memory levels are known.
    """
    parameters: dict[str, Parameter] = {"learning_rate": _rates(method, shipped)}
    if method == "lora":
        parameters |= {
            "lora_r": Int(4, 64, log=True),
            "lora_alpha": Float(8, 128, log=True),
            "lora_dropout": Float(0, 0.2),
            "lora_targets": Choice(["q_proj,v_proj", "all-linear"]),
        }
    parameters |= {
        "batch_size": Choice([4, 8, 16, 32]),
        "epochs": Choice([1, 2, 3, 4, 6] if shipped or method == "full" else [1, 2, 4, 8, 12]),
        "warmup_ratio": Float(0, 0.2),
        "schedule": Choice(["cosine", "linear"]),
    }
    if most > 30:
        parameters["size"] = Int(30, min(most, 2000), log=True)
    if levels:
        parameters["level"] = Choice(["mixed", "1,2", "2,3", "3,4", "random"])  # a best level must beat a random draw
    return Space(parameters)


def _rates(method: str, shipped: Shipped | None) -> Float:
    if shipped:
        return Float(*(shipped.lora_rates if method == "lora" else shipped.rates), log=True)
    return Float(2e-5, 1e-3, log=True) if method == "lora" else Float(2e-6, 1e-4, log=True)


def starts(
    space: Space,
    method: Literal["full", "lora"] = "full",
    shipped: Shipped | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Points to try first: the baseline, then two or three known good settings, clipped into the space; no point
    twice.

    `fixed` are settings outside the space, which take part in choosing what the baseline is.
    """
    preset = "B-LoRA" if method == "lora" else shipped.preset if shipped else "C"
    base: dict[str, Any] = {"size": 240, "level": "mixed", "weight_decay": 0.0, "warmup_ratio": 0.0}
    base |= {"method": method} | PRESETS[preset] | dict(fixed or {})
    if method == "lora":
        if shipped:
            base["learning_rate"] = shipped.lora_start
        others: list[dict[str, Any]] = [
            {"learning_rate": 2 * base["learning_rate"], "lora_targets": "all-linear", "lora_alpha": 16.0, "epochs": 3},
            {"learning_rate": base["learning_rate"] / 2, "lora_r": 8, "lora_alpha": 16.0, "epochs": 6},
        ]
    else:
        others = [
            {"learning_rate": base["learning_rate"] / 2, "epochs": 3, "level": "2,3"},
            {"learning_rate": base["learning_rate"] * 2, "batch_size": 16, "size": 960},
            {"learning_rate": base["learning_rate"], "epochs": 2, "size": 60},
        ]
    points: list[dict[str, Any]] = []
    for change in ({}, *others):
        point = space.clip(base | change)
        if point not in points:
            points.append(point)
    return points
