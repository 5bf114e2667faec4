"""Numbers for people, printed one way everywhere: what is a difference has a sign, a minus is "−", nothing is "–".

All take numbers as they are to be read (percent, points); `estimate` alone takes the fractions of an `Estimate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recollect.core.estimates import Estimate

NOTHING = "–"


def number(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """ "3.1", "−0.4", and "–" for None; with `sign` "+3.1". Never "−0.0"."""
    return NOTHING if value is None else f"{value:{'+' if sign else ''}z,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    """A difference: "+3.1", "−0.4"; "–" for None."""
    return number(value, digits, sign=True)


def interval(low: float | None, high: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """ "1.2–3.4"; "−0.4 to +2.8" where a sign would meet the dash; "" where there is no interval."""
    if low is None or high is None:
        return ""
    join = " to " if sign or low < 0 or high < 0 else "–"
    return f"{number(low, digits, sign=sign)}{join}{number(high, digits, sign=sign)}"


def with_interval(
    value: float | None, low: float | None, high: float | None, digits: int = 1, *, sign: bool = False
) -> str:
    """ "2.3 (1.2–3.4)", "+1.2 (−0.4 to +2.8)"; without an interval the number alone, "–" for None."""
    ends = interval(low, high, digits, sign=sign)
    return number(value, digits, sign=sign) + (f" ({ends})" if ends and value is not None else "")


def estimate(found: Estimate | None, digits: int = 1, *, sign: bool = False) -> str:
    """An `Estimate`, which holds fractions, in percent or points with its interval; "–" for None."""
    return NOTHING if found is None else with_interval(*found.percent, digits, sign=sign)


def percent(share: float | None, digits: int = 0) -> str:
    """A share (0 to 1) as "12 %"; "–" for None."""
    return NOTHING if share is None else f"{number(100 * share, digits)} %"


def many(count: int, what: str) -> str:
    """How many of something, in words: "1 row", "12,345 rows".

    Examples:
        >>> many(1, "row"), many(12345, "row")
        ('1 row', '12,345 rows')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def thousands(count: int | None) -> str:
    """ "12,345"; "–" for None."""
    return NOTHING if count is None else f"{count:,}".replace("-", "−")
