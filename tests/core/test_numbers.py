"""One way to print numbers: signs, the minus, intervals, nothing."""

from __future__ import annotations

import pytest

from recollect.core.estimates import Estimate
from recollect.core.numbers import estimate, interval, number, percent, signed, thousands, with_interval


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (number(3.14), "3.1"),
        (number(-0.04), "0.0"),
        (number(-2.25, 2), "−2.25"),
        (number(None), "–"),
        (signed(3.14), "+3.1"),
        (signed(-0.4), "−0.4"),
        (signed(-0.04), "+0.0"),
        (signed(None), "–"),
        (interval(1.2, 3.4), "1.2–3.4"),
        (interval(-0.4, 2.8), "−0.4 to 2.8"),
        (interval(-0.4, 2.8, sign=True), "−0.4 to +2.8"),
        (interval(None, 2.8), ""),
        (with_interval(2.3, 1.2, 3.4), "2.3 (1.2–3.4)"),
        (with_interval(2.3, None, None), "2.3"),
        (with_interval(None, 1, 2), "–"),
        (with_interval(1.2, -0.4, 2.8, sign=True), "+1.2 (−0.4 to +2.8)"),
        (percent(0.123), "12 %"),
        (percent(0.1234, 1), "12.3 %"),
        (percent(None), "–"),
        (thousands(12345), "12,345"),
        (thousands(-12345), "−12,345"),
        (thousands(None), "–"),
        (estimate(Estimate(0.5, 0.25, 0.75, 4, "m")), "50.0 (25.0–75.0)"),
        (estimate(Estimate(0.05, -0.25, 0.75, 4, "m"), sign=True), "+5.0 (−25.0 to +75.0)"),
        (estimate(None), "–"),
    ],
)
def test_a_number_has_one_form(shown: str, said: str) -> None:
    assert shown == said
