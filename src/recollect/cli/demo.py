"""The command `demo`: the whole path on a pocket model, about facts or about attributes of product pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field, model_validator

from recollect.cli.curve import run_and_print
from recollect.cli.options import command
from recollect.cli.study import study
from recollect.drift import DriftSettings
from recollect.errors import InputError
from recollect.experiments.executors.settings import PlaceSettings
from recollect.experiments.study import StudySettings
from recollect.experiments.study.settings import DriftSection, LadderSection, ProbeSection
from recollect.probe import ProbeSettings
from recollect.restore import LadderSettings

SIZES = (0, 15, 60, 250)
"""Training pages of the attributes demo; 0 is the untouched base."""
_SHARED = (
    "sizes",
    "repeats",
    "seed",
    "train",
    "evaluate",
    "keep_models",
    *PlaceSettings.runtime_only,
)  # what both tasks know


class DemoSettings(StudySettings):
    """The whole path on a pocket model in a few minutes, ending in a table, a verdict and one HTML report.

    Facts: probe, train on each choice at each size. Attributes: read product pages, before and after training.
    """

    task: Literal["facts", "attributes"] = "facts"
    """facts: what the pocket model knows, and which examples elicit it. attributes: how many labelled pages the pocket
    shop model needs, with the sizes 0, 15, 60 and 250; of the other settings only sizes, repeats, seed, train,
    evaluate, model, facts, keep-models and where to train go with it."""
    title: str = "Recollect demo: what the pocket model knows, and which examples elicit it"
    """Title of the report."""
    repeats: Annotated[int, Field(ge=1)] = 2
    """Seeds to run, from the first one up; each draws its own training sets and trains anew on them."""
    probe: ProbeSection = ProbeSettings(method="hybrid", residual_samples=1)
    """Settings of `recollect probe`, except model and facts; one residual draw per template keeps the demo short."""
    drift: DriftSection = DriftSettings(limit=100, text_tokens=3_000)
    """Settings of `recollect drift`, except where models, facts and levels are; few facts keep the demo short."""
    ladder: LadderSection = LadderSettings(limit=200, text_tokens=3_000)
    """Settings of `recollect restore --ladder`, likewise."""

    @model_validator(mode="after")
    def _fits_the_task(self) -> DemoSettings:
        strange = self.model_fields_set - {"task", "model", "facts", *_SHARED}
        if self.task == "attributes" and strange:
            raise ValueError(f"{sorted(strange)[0]} does not go with task attributes; leave it out")
        return self


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "demo", DemoSettings, demo)


def demo(settings: DemoSettings, out: Path | None, as_json: bool) -> None:
    """Run the demo of a task; `recollect-demo` or `recollect-demo-attributes` by default."""
    if settings.task == "attributes":
        _attributes(settings, out or Path("recollect-demo-attributes"), as_json)
        return
    study(settings, out or Path("recollect-demo"), as_json)


def _attributes(settings: DemoSettings, out: Path, as_json: bool) -> None:
    """A small data curve on the pocket shop: it is a curve like any other."""
    from recollect.experiments.curve import CurveSettings

    given = settings.model_fields_set
    values = {name: getattr(settings, name) for name in ("model", "facts", *_SHARED) if name in given}
    if "sizes" in given:
        values["sizes"] = (0, *settings.sizes)
    defaults = {"model": "pocket-shop", "facts": "pocket-shop", "sizes": SIZES, "repeats": settings.repeats}
    try:
        curve = CurveSettings.make(**{**defaults, **values})
    except InputError as error:
        raise InputError(f"for the attributes demo, {error}") from None
    run_and_print(curve, out, as_json)
