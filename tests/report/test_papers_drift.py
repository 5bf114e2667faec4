"""Published findings about drift, judged on runs whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import helpers_drift as made
from recollect.report import make_results
from recollect.report.chapters.drift.claims import drift_claims
from recollect.report.scores.papers import published


def test_nothing_measured_can_tell_nothing(invented: SimpleNamespace) -> None:
    claims = drift_claims(make_results(invented.minimal(cells=[], drift={})))
    assert [claim.agreement for claim in claims] == ["cannot tell"] * 6
    assert drift_claims(make_results(invented.minimal())) == []


@pytest.mark.parametrize(
    ("course", "expected"),
    [((2.0, 1.0, 2.0), "agrees"), ((1.0, 2.0, 3.0), "differs"), ((1.0, 0.99, 1.0), "cannot tell")],
)
def test_the_kl_turns_or_does_not(invented: SimpleNamespace, course: tuple[float, ...], expected: str) -> None:
    cells = [
        made.drift_cell("2", size, kl, seed)
        for size, kl in zip((60, 240, 1920), course, strict=True)
        for seed in (0, 1)
    ]
    found = drift_claims(make_results(invented.minimal(cells=[], drift={"cells": cells})))
    assert found[0].agreement == expected


@pytest.mark.parametrize("sizes", [(15, 60, 150), (240, 480, 1920), (15, 60, 240)])
def test_without_sizes_around_240_the_turn_cannot_be_told(invented: SimpleNamespace, sizes: tuple[int, ...]) -> None:
    pairs = zip(sizes, (3.0, 2.0, 1.0), strict=True)
    cells = [made.drift_cell("2", size, kl, seed) for size, kl in pairs for seed in (0, 1)]
    claim = drift_claims(make_results(invented.minimal(cells=[], drift={"cells": cells})))[0]
    assert claim.agreement == "cannot tell"
    assert claim.here.startswith("This needs a size near 240")


@pytest.mark.parametrize(("low", "expected"), [(2.0, "agrees"), (0.5, "differs"), (1.0, "cannot tell")])
def test_low_levels_move_further_or_do_not(invented: SimpleNamespace, low: float, expected: str) -> None:
    cells = [made.drift_cell(level, 60, kl, seed) for level, kl in (("0", low), ("4", 1.0)) for seed in (0, 1)]
    assert drift_claims(make_results(invented.minimal(cells=[], drift={"cells": cells})))[1].agreement == expected
    once = drift_claims(make_results(invented.minimal(cells=[], drift={"cells": cells[::2]})))[1]
    assert once.agreement == "cannot tell"


@pytest.mark.parametrize(("sign", "expected"), [(-1, "agrees"), (1, "differs"), (0, "cannot tell")])
def test_recall_is_compared_cell_by_cell(invented: SimpleNamespace, sign: int, expected: str) -> None:
    moved = [made.drift_cell("2", 60, 1.0 + seed, seed) for seed in range(8)]
    scored = [
        invented.cell("2", 60, 50.0 + sign * seed + (seed % 2 if sign == 0 else 0), seed=seed) for seed in range(8)
    ]
    claim = drift_claims(make_results(invented.minimal(cells=scored, drift={"cells": moved})))[2]
    assert claim.agreement == expected
    assert "8 tuned models" in claim.here
    assert "-" not in claim.here.split("(p =")[0]  # a minus is "−"


@pytest.mark.parametrize(("share", "expected"), [(0.93, "agrees"), (0.5, "differs")])
def test_the_top_holds_most_or_does_not(invented: SimpleNamespace, share: float, expected: str) -> None:
    cells = [made.drift_cell("2", 60, 1.0, share_top={"20": share})]
    assert drift_claims(make_results(invented.minimal(cells=[], drift={"cells": cells})))[3].agreement == expected


def test_gain_and_collapse_agree_on_a_ladder_of_the_papers_course(invented: SimpleNamespace) -> None:
    claims = drift_claims(make_results(invented.minimal(cells=[], drift={"ladders": [made.ladder()]})))
    assert [claim.agreement for claim in claims[4:]] == ["agrees", "agrees"]
    assert "45.0 → 1.5 %" in claims[5].here


def test_gain_and_collapse_differ_when_restoring_only_hurts_a_little(invented: SimpleNamespace) -> None:
    rungs = [made.rung("tuned", 0, 45.0), made.rung("relative", 20, 39.0), made.rung("relative", 60, 44.0)]
    ladder = made.ladder(rungs=rungs, best=made.best(gain=0.0))
    claims = drift_claims(make_results(invented.minimal(cells=[], drift={"ladders": [ladder]})))
    assert [claim.agreement for claim in claims[4:]] == ["differs", "differs"]


def test_a_fall_to_about_half_cannot_tell(invented: SimpleNamespace) -> None:
    rungs = [made.rung("tuned", 0, 45.0), made.rung("relative", 60, 23.0)]
    claims = drift_claims(make_results(invented.minimal(cells=[], drift={"ladders": [made.ladder(rungs=rungs)]})))
    assert claims[5].agreement == "cannot tell"


def test_the_published_figures_are_whole() -> None:
    rungs, shares = published().ladder.rungs, published().change_by_top_percent.share
    assert list(rungs) == [0, 1, 5, 10, 20, 40, 60]
    assert all(len(values) == 5 for parts in rungs.values() for values in parts)
    assert list(shares.values()) == sorted(shares.values())
    assert sum(published().restored_by_module.share.values()) == pytest.approx(1, abs=0.01)
