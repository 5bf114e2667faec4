"""What the LoRA settings of a training may be: numbers by module, numbers of layers, and how adapters start."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from recollect.core.settings import read_section

LoraStart = Literal["default", "gaussian", "pissa", "pissa_niter_4", "pissa_niter_16", "olora", "eva"]
CHANGES_BASE = ("pissa", "pissa_niter_4", "pissa_niter_16", "olora")
"""Starts that take their first factors out of the base."""
_MOST_LAYERS = 100_000
_REFUSED = {
    "loftq": "it quantises the base while it begins, and the adapter fits that base alone; on a base that is "
    "quantised already take default, on any other pissa",
    "corda": "it needs covariances of data gathered beforehand; take eva, which reads the training's own examples",
    "lora_ga": "it needs a gradient gathered beforehand; take eva, which reads the training's own examples",
    "mica": "it trains one factor of the two; take default, pissa, olora or eva",
    "orthogonal": "it is tried out in PEFT alone; take default, gaussian, pissa, olora or eva",
}


def _start(value: Any) -> Any:
    if isinstance(value, str) and value not in get_args(LoraStart):
        for name, why in _REFUSED.items():
            if value.lower().startswith(name):
                raise ValueError(f"{name} is not offered: {why}")
    return value


def _layers(value: Any) -> Any:
    """Layers as a command line gives them: "0-3,7"."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if not isinstance(value, str):
        return value
    found: list[int] = []
    for part in filter(None, re.split(r"[,\s]+", value.strip())):
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if ends is None:
            raise ValueError(f"must be numbers of layers such as 0-3,7 ({part!r:.100} is none)")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first or last >= _MOST_LAYERS:
            raise ValueError(f"must be numbers of layers such as 0-3,7 ({part!r:.100} goes nowhere)")
        found += range(first, last + 1)
    return tuple(sorted(set(found)))


_Name = Annotated[str, Field(pattern=r"^[\w.\-]+$", max_length=500)]
LayerNumbers = Annotated[tuple[Annotated[int, Field(ge=0, lt=_MOST_LAYERS)], ...], BeforeValidator(_layers)]
"""Numbers of layers; as text "0-3,7"."""
Start = Annotated[LoraStart, BeforeValidator(_start)]
"""How adapters start; others of PEFT's are refused with the reason."""
Ranks = Annotated[dict[_Name, Annotated[int, Field(ge=1, le=1 << 16)]], BeforeValidator(read_section)]
"""Ranks by the name of a module or of what holds it; as text {layers.0: 4, down_proj: 32}."""
Alphas = Annotated[dict[_Name, Annotated[float, Field(gt=0)]], BeforeValidator(read_section)]
"""Alphas likewise."""
