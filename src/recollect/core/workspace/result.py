"""What a step found: one frozen model per step, written to its manifest and read by command line, report and Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from recollect.core.estimates import Estimate
from recollect.core.workspace import read_manifest
from recollect.errors import StepError


class Result(BaseModel):
    """Base of what steps find, and of its parts. Names that an older or newer version wrote beside ours are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    def plain(self) -> dict[str, Any]:
        """The same as plain JSON, as the manifest and the command's answer hold it."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What the finished step at `path` found. StepError when it is none, is damaged or found other things."""
        return result_from(cls, read_manifest(path).metrics, path)


def fold_intervals(values: Any, names: Iterable[str]) -> Any:
    """`values` with one Estimate for each name whose interval lies flat and in percent: x, x_low, x_high, x_facts.

    So records of earlier versions and rows of tables are read. What is no mapping, or has Estimates, stays as it is.
    """
    if not isinstance(values, Mapping):
        return values
    found = dict(values)
    for name in names:
        low, high, n = (found.pop(f"{name}_{end}", None) for end in ("low", "high", "facts"))
        if isinstance(found.get(name), int | float):
            if low is None or high is None:
                raise ValueError(f"{name} must come with its interval: {name}_low and {name}_high must be given too")
            found[name] = Estimate(found[name] / 100, low / 100, high / 100, int(n or 0), "95 % interval")
    return found


Kind = TypeVar("Kind", bound=Result)


def result_from(kind: type[Kind], values: Any, path: Path) -> Kind:
    """The metrics of the step at `path` as `kind`; StepError where they do not fit."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or kind.__name__
        raise StepError(
            f"the manifest of {path} does not hold what this version reads: {name}: {first['msg']}. It may be of "
            "another version: run its command again into a new folder."
        ) from None
