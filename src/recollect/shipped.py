"""What comes with the package, as data: for each invented world a small base model and what can be asked of it.

`recollect pocket build` and `recollect pocket shop` write what lies here: the model's folder and `facts.parquet`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POCKET = "pocket"


@dataclass(frozen=True)
class Shipped:
    """A small base model that comes with the package."""

    model: Path
    """Its folder."""
    facts: Path
    """A facts.parquet: what can be asked of it."""
    text: Path | None
    """Text of its world that it was not trained on, a document a line."""
    preset: str
    """The preset of training that fits it."""
    rates: tuple[float, float]
    """Lowest and highest learning rate worth trying when all parameters are trained."""
    lora_rates: tuple[float, float]
    """The same for adapters."""
    lora_start: float
    """The learning rate that is tried first for adapters."""


def _shipped(world: str, preset: str) -> Shipped:
    base = Path(__file__).parent / "worlds" / world / "base"
    text = base / "heldout.txt"
    return Shipped(
        model=base,
        facts=base / "facts.parquet",
        text=text if text.is_file() else None,
        preset=preset,
        rates=(5e-5, 2e-3),
        lora_rates=(5e-4, 1e-2),
        lora_start=5e-3,
    )


SHIPPED = {POCKET: _shipped("quiz", "pocket"), "pocket-shop": _shipped("shop", "pocket-shop")}
"""By the name that a user gives as model or facts."""


def own_preset_of(model: str) -> str | None:
    """The preset of a shipped model; None for any other, whose training then follows its width and the examples."""
    return SHIPPED[model].preset if model in SHIPPED else None


def preset_of(model: str) -> str:
    """The preset for full fine-tuning of a model, by its name: a shipped model's own, else the paper's."""
    return SHIPPED[model].preset if model in SHIPPED else "token-and-parameter-levels"


def text_of(folder: Path) -> Path | None:
    """The general text that comes with the model in a folder; None for a model that is not shipped, or has none."""
    return next((one.text for one in SHIPPED.values() if one.model == folder), None)
