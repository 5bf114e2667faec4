"""The plane of a fit's candidates: one far away does not crowd the others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from recollect.core.workspace.fit import Candidate
from recollect.report.chapters.fit.charts import plane_chart, window


def candidate(score: float, forgot: float, **more: Any) -> Candidate:
    return Candidate(name="x", kind="trial", score=score, forgot=forgot, value=score, **more)


NEAR = [candidate(40, 0, front=True, chosen=True), candidate(41, 2, front=True), candidate(39, 4)]


def test_a_candidate_far_away_lies_outside_of_the_plane_and_is_told_with_its_numbers():
    everybody = [*NEAR, candidate(3, 80)]
    assert window(everybody) == (4, 39)
    chart = plane_chart(SimpleNamespace(candidates=everybody, known_validation=9))  # type: ignore[arg-type]
    assert chart is not None
    for drawn in (chart.wide, chart.narrow):
        assert "3 / 80" in drawn
        assert "outside: score / forgotten, %" in drawn
    alone = plane_chart(SimpleNamespace(candidates=NEAR, known_validation=9))  # type: ignore[arg-type]
    assert alone is not None and "outside" not in alone.wide


def test_nothing_near_nothing_of_the_front_and_not_many_lie_outside():
    assert window([*NEAR, candidate(33, 9)]) == (9, 33)  # no wider than a few points
    assert window([*NEAR, candidate(60, 80, front=True)]) == (80, 39)
    assert window([*NEAR, candidate(20, 50), candidate(3, 80)]) == (80, 3)  # two of five are no exception
    assert window([*NEAR, *NEAR, candidate(20, 50), candidate(3, 80)]) == (4, 39)  # two of eight are
