"""Where a training's numbers may be shown besides: the trackers that transformers writes to. None unless asked for."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from recollect.errors import InputError, MissingExtra

PACKAGES = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
}
"""By a tracker's name, the packages of which one must be installed."""


def trackers_of(text: str) -> list[str]:
    """The trackers that a setting names, separated by commas; [] for none. InputError for another name."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return []
    unknown = [name for name in names if name not in PACKAGES]
    if unknown or not names:
        raise InputError(f"report_to must be none, or some of {', '.join(PACKAGES)}, but got {text!r}.")
    return list(dict.fromkeys(names))


def _checked(text: str) -> str:
    trackers_of(text)
    return text


ReportTo = Annotated[str, AfterValidator(_checked)]
"""The type of a `report_to` setting."""


def check_trackers(text: str) -> None:
    """Refuse a tracker whose package is not installed, before any work. MissingExtra names it."""
    for name in trackers_of(text):
        if not any(find_spec(package) for package in PACKAGES[name]):
            package = PACKAGES[name][0]
            raise MissingExtra(
                f"report_to {name} needs the package {package}, which is not installed: pip install {package}"
            )


def place_of_logs(step: Path) -> None:
    """Have TensorBoard's files written beside the step, `tensorboard/<its name>`, unless TENSORBOARD_LOGGING_DIR names
    a place: the trainer's own folder is gone when the step is finished, and a step holds nothing that changes."""
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(step.parent / "tensorboard" / step.name))
