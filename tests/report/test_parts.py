"""The table of a grid's studies: base, best and gain are of the same questions, and nothing unclear is claimed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import helpers_verdict as made
from recollect.core.estimates import Estimate
from recollect.report import Parts, make_results, render
from recollect.report.chapters.parts.record import PartScores
from recollect.report.page.results import Results
from recollect.report.scores.record import Best, Trained


@pytest.fixture
def grid(invented: SimpleNamespace):
    """A page of one study whose best choice is 10 points over the base on the facts that judge."""

    def make(low: float, high: float) -> tuple[Results, Best]:
        told = made.best(base=made.gap(None, 10.0, low, high), macro_levels=[4])
        trained = make_results(invented.minimal(best=told)).of(Trained)
        assert trained is not None and trained.best is not None and trained.best.score is not None
        best = trained.best
        assert best.base is not None and best.base.score is not None
        scored = Estimate(best.base.score, best.base.score - 0.08, best.base.score + 0.08, 51, "made")
        best = best.model_copy(update={"base": best.base.model_copy(update={"scored": scored})})
        part = PartScores(
            name="one", model="m", data="d", method="lora", report="studies/one/report.html", models=2,
            best=best.score, levels=best.levels, size=best.size, chosen=best,
        )  # fmt: skip
        frame = {"title": "x", "created": "2026-01-01", "version": "0"}
        return make_results({**frame, "chapters": {"parts": Parts(parts=[part]).model_dump(mode="json")}}), best

    return make


def test_the_row_adds_up(grid) -> None:
    results, best = grid(5.0, 15.0)
    part = results.of(Parts).parts[0]
    assert part.base_beside.value == pytest.approx(best.score.value - best.base.value)
    page = render(results)
    assert "scored on 51 facts, level 4 alone" in page
    assert f'{100 * best.base.score:.1f} <span class="quiet">({100 * best.base.score - 8:.1f}–' in page


def test_a_gain_whose_interval_holds_zero_is_no_gain(grid) -> None:
    unclear, clear = (render(grid(*ends)[0]) for ends in ((-61.0, 77.0), (5.0, 15.0)))
    assert (
        "one: no clear difference between 60 examples of level 2" in unclear and "no clear difference</span>" in unclear
    )
    assert "one: 60 examples of level 2 beat the untouched base model" in clear and "clear gain</span>" in clear


def test_what_failed_inside_a_study_is_told_with_its_reason_once() -> None:
    failed = [{"name": f"one/random-{size}-seed0", "reason": "out of memory"} for size in (4, 8)]
    chapters = {"parts": {"parts": [], "failed": [*failed, {"name": "two", "reason": "no such model"}]}}
    frame = {"title": "x", "created": "2026-01-01", "version": "0"}
    page = render(make_results({**frame, "chapters": chapters, "notes": ["two failed: no such model"]}))
    assert page.count("out of memory") == page.count("no such model") == 1
    assert "<b>one/random-4-seed0, one/random-8-seed0</b>" in page
