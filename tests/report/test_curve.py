"""The chapter on data curves: its numbers, its words, and hostile text in it."""

from __future__ import annotations

from typing import Any

import pytest

from recollect.errors import InputError
from recollect.report import make_results, render

NASTY = "<script>alert(1)</script> \u202e {{ 7*7 }}"


def curve(**changed: Any) -> dict[str, Any]:
    """An invented curve, never measured."""
    sizes = [0.0, 15.0, 60.0, 240.0, 960.0]
    scores = [8.0, 25.0, 32.0, 32.5, 32.4]
    return {
        "part": "In-domain",
        "trained_on": "a random draw",
        "items": 660,
        "groups": 5,
        "verdict": "saturated",
        "lines": ["Saturated: from about 45 examples on."],
        "margin": 2.0,
        "confidence": 0.9,
        "n_sat": 45,
        "n_sat_low": 30,
        "n_sat_high": 90,
        "run_spread": 0.8,
        "points": [
            {"size": int(n), "score": score, "low": score - 1, "high": score + 1, "runs": [score - 0.5, score + 0.5]}
            for n, score in zip(sizes, scores, strict=True)
        ],
        "gains": [
            {"start": 15, "end": 60, "points": 7.0, "low": 5.0, "high": 9.0, "per_label": 7 / 45, "measured": True},
            {"start": 960, "end": 1920, "points": -0.1, "low": -1, "high": 1, "per_label": -1e-4, "measured": False},
        ],
        "families": [{"name": "saturating", "left_out_error": 1.2, "weight": 0.9, "scores": scores}],
        "band": {"sizes": sizes, "middle": scores, "low": [s - 1 for s in scores], "high": [s + 1 for s in scores]},
        "next": [],
    } | changed


def page(*curves: dict[str, Any]) -> str:
    return render(
        make_results({"title": "Curve", "created": "2026-01-01T00:00:00+00:00", "version": "0", "curves": list(curves)})
    )


def test_the_chapter_shows_verdict_points_gains_and_fits() -> None:
    html = page(curve())
    assert "How much data is enough" in html
    assert "Saturated: from about 45 examples on." in html
    assert "enough: 90" in html and "30 to 90" in html
    assert "660 test items in 5 groups" in html
    assert "+15.56" in html and "fitted, extrapolated" in html
    assert html.count("<svg") == 1


def test_in_and_out_of_domain_stand_side_by_side() -> None:
    other = curve(part="Out-of-domain", verdict="peaked", n_hurts=[258, 97, 762], lines=["Peaked: best near 41."])
    html = page(curve(), other)
    assert "hurts: 762" in html and "97 to 762" in html
    assert "In-domain: Saturated" in html and "Out-of-domain: Peaked" in html


@pytest.mark.parametrize("verdict", ["rising", "undecided"])
def test_other_verdicts_have_their_big_number(verdict: str) -> None:
    text = page(curve(verdict=verdict))
    assert {"rising": "still rising at", "undecided": "undecided; sizes run"}[verdict] in text
    assert "enough: 90" not in text


def test_hostile_text_stays_text() -> None:
    families = [{"name": NASTY, "left_out_error": 1.0, "weight": 1.0, "scores": [1.0] * 5}]
    html = page(curve(part=NASTY, unit=NASTY, trained_on=NASTY, lines=[NASTY], families=families))
    assert "<script" not in html
    assert "\u202e" not in html
    assert "{{ 7*7 }}" in html


def test_scores_beyond_a_percentage_are_drawn() -> None:
    points = [{"size": n, "score": -0.9, "low": -0.9, "high": -0.9, "runs": [-0.9]} for n in (1536, 1920, 3072)]
    band = {"sizes": [1536.0, 3072.0], "middle": [-0.9] * 2, "low": [-0.9] * 2, "high": [-0.9] * 2}
    html = page(curve(points=points, band=band, families=[], gains=[], unit="score units", negated=True, items=None))
    assert "sign turned" in html and "1,536" in html
    assert ">−0.90<" in html and ">-0.90<" not in html


def test_a_change_that_rounds_to_nothing_is_no_loss() -> None:
    gain = {"start": 15, "end": 60, "points": -0.01, "low": -1, "high": 1, "per_label": -1e-6, "measured": True}
    html = page(curve(gains=[gain]))
    assert "+0.0<" in html and "−0.0<" not in html and "−0.00" not in html


def test_no_curve_no_chapter() -> None:
    assert "How much data is enough" not in page()


def test_a_band_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="one for each"):
        page(curve(band={"sizes": [0.0, 15.0], "middle": [1.0], "low": [1.0], "high": [1.0]}))


def test_a_fit_that_misses_a_mean_is_named_and_not_drawn() -> None:
    families = [{"name": "sigmoid", "left_out_error": 13.0, "weight": 0.0, "misses": 960}]
    html = page(curve(families=families, band=None))
    assert "not used: misses the mean at 960" in html
    assert "fits, weighed" not in html and html.count("<svg") == 1
    with pytest.raises(InputError, match="without a band"):
        page(curve(band=None))


def test_results_of_an_older_version_are_read() -> None:
    assert "How much data is enough" in page(curve(probability={"saturated": 0.97, "rising": 0.02, "peaked": 0.01}))
