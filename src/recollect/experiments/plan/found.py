"""A plan: what would run, how much of it is there, and what the rest takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from recollect.core.settings import Settings
from recollect.core.workspace.result import Result


class Assume(Settings):
    """What a plan is told that it cannot find out here."""

    parameters: Annotated[float, Field(gt=0)] | None = None
    """Parameters of a model that is not here, such as 8e9."""
    facts_count: str | None = None
    """Facts where they are not here: 97112, or train=75944,test=9555,ood=11613."""
    tokens_per_second: Annotated[float, Field(gt=0)] | None = None
    """Tokens that the model reads or writes in a second where it will run, all together; a trained token counts three.
    Time is computed from it, and nothing is measured here."""
    cores: Annotated[int, Field(ge=1)] | None = None
    """Processor cores where it will run, if not those that are used here."""
    price_per_hour: Annotated[float, Field(ge=0)] | None = None
    """What an hour of the machine costs: the plan has a price."""
    calibrate: bool = True
    """Measure this machine for a few seconds; without, there is no time."""


class PlanRow(Result):
    """Steps of one kind."""

    what: str
    steps: int
    there: int
    """Those that are finished already."""
    seconds: float | None = None
    """What the others take, one after the other; None where it is not known."""
    detail: str = ""
    """Their work in words."""


class Plan(Result):
    """What would run. The counts are of what is still to do; `steps` are all of them."""

    rows: tuple[PlanRow, ...]
    steps: int
    there: int
    seconds: float | None
    memory_bytes: int | None
    memory_of: str
    """GPU or host."""
    disk_bytes: int | None
    """The most at one time."""
    passing_bytes: int = 0
    """Of these, what is gone at the end, so that what comes after it has the room: weights and checkpoints."""
    completions: int
    training_steps: int
    training_tokens: int
    price: float | None = None
    """None where no price of an hour was given, or the time is not known."""
    priced: bool = False
    """Whether a price was asked for."""
    calibration: str = ""
    """What was measured here."""
    busy: float = 1.0
    """Seconds of measuring for each of the processor's own; more than 1 where other work went on beside it."""
    notes: tuple[str, ...] = ()
    """What is assumed, and what is not known."""
    missing: tuple[str, ...] = ()
    """Parts of a grid that cannot be done and are not counted, with the reason, once for each model."""

    def answer(self) -> dict[str, float | int | None]:
        """The answer for --json."""
        names = ("steps", "there", "seconds", "memory_bytes", "disk_bytes", "completions", "training_steps")
        found = {name: getattr(self, name) for name in names}
        return {**found, "price": self.price} if self.priced else found
