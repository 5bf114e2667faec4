"""Settings of a restoration: of one percentage, and of a ladder of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from recollect.drift.settings import SOURCES, AskSettings
from recollect.errors import InputError

Order = Literal["relative", "absolute", "bottom", "random"]


def percents_of(text: str) -> tuple[float, ...]:
    """The percentages of a ladder, rising: "1,3,5" is (1.0, 3.0, 5.0). InputError unless above 0 and up to 100."""
    try:
        percents = sorted({float(part) for part in text.split(",")})
    except ValueError:
        percents = []
    if not percents or not all(0 < percent <= 100 for percent in percents):
        raise InputError(f'a ladder must be percentages above 0 and up to 100, such as "1,5,20", but got {text!r}')
    return tuple(percents)


def _check_ladder(text: str) -> str:
    return ",".join(f"{percent:g}" for percent in percents_of(text))


def _check_export(text: str) -> str:
    if text not in ("best", "none"):
        try:
            one = "," not in text and bool(percents_of(text))
        except InputError:
            one = False
        if not one:
            raise InputError(f"export must be best, none or one percentage above 0 and up to 100, but got {text!r}")
    return text


class LadderSettings(AskSettings):
    """Restore more and more of the change, ask after each rung, and see beside it what the controls do.

    Examples:
        >>> from recollect import LadderSettings
        >>> LadderSettings.make(ladder="1,5,20", limit=100).ladder
        '1,5,20'
    """

    runtime_only: ClassVar[set[str]] = {*SOURCES, "batch_size", "export", "force"}

    ladder: Annotated[str, AfterValidator(_check_ladder)] = "1,3,5,10,20,40,60"
    """Percentages of the weights to set back to their base values."""
    order: Order = "relative"
    """Which weights first: relative (largest change relative to the base value), absolute (largest
    change), bottom (smallest relative change), random. The others are run beside it as controls."""
    region: str = "decoder"
    """Which weights: decoder (decoder-layer weights without norms), attention, mlp, embedding, all, or a
    pattern of tensor names."""
    per_tensor: bool = False
    """Take the percentage of each tensor, rather than of all weights together."""
    export: Annotated[str, AfterValidator(_check_export)] = "best"
    """What to write as a model: best (the chosen percentage, only if it beats the tuned model beyond noise), none, or a
    percentage, whatever the ladder says."""
    force: bool = False
    """With export best: write the chosen percentage even if it does not beat the tuned model."""


class RestoreSettings(LadderSettings):
    """Set the most changed weights back to their base values; or, with --ladder, find out how many to set back.

    Examples:
        >>> from recollect import RestoreSettings
        >>> RestoreSettings.make(percent=20).percent
        20.0
    """

    percent: Annotated[float, Field(ge=0, le=100)] | None = None
    """Set this percentage of the region's weights back and write the model; 20 if neither it nor a ladder is given."""
    ladder: Annotated[str, AfterValidator(_check_ladder)] | None = None  # type: ignore[assignment]
    """Try these percentages one after the other, such as 1,3,5,10,20,40,60, with all controls."""
