"""Bad rows: the first one is an error, or they are skipped and counted, as the user's `--bad-rows` says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from recollect.errors import InputError

BadRowsMode = Literal["error", "skip"]
BAD_ROWS: tuple[BadRowsMode, ...] = get_args(BadRowsMode)
_SHOWN = 20  # rows named one by one in a report; all are counted


class RowError(InputError):
    """One row that cannot be used. `reason` holds no value of the row, so that equal faults count together."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class BadRow:
    """A row that was skipped."""

    where: str
    """Its place, e.g. "line 3"."""
    reason: str
    """What is wrong, without the row's values."""
    text: str
    """The error as it would have been shown."""


@dataclass
class BadRows:
    """What becomes of bad rows, and an account of those skipped."""

    mode: BadRowsMode = "error"
    found: list[BadRow] = field(default_factory=list)

    def add(self, where: str, error: RowError) -> None:
        """Count a bad row; in mode "error" raise its error instead."""
        if self.mode == "error":
            raise error
        self.found.append(BadRow(where, error.reason, str(error)))

    def account(self) -> dict[str, Any]:
        """Plain JSON: how many rows were skipped, how many for each reason, and the first of them with their place."""
        return {
            "skipped": len(self.found),
            "reasons": dict(sorted(Counter(row.reason for row in self.found).items())),
            "first": [{"where": row.where, "error": row.text} for row in self.found[:_SHOWN]],
        }

    def lines(self, name: str) -> list[str]:
        """The account in words, for a page: one line, or none."""
        if not self.found:
            return []
        reasons = Counter(row.reason for row in self.found)
        first = self.found[0]
        said = ", ".join(f"{count:,} with {reason}" for reason, count in sorted(reasons.items()))
        return [f"{len(self.found):,} bad rows of {name} were skipped: {said}. The first is {first.where}."]
