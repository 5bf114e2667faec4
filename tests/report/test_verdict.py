"""The verdict and the comparison with the papers, on results whose answer is known by construction."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from recollect.report import Results, verdict
from recollect.report._papers import claims


@pytest.fixture
def lines(invented: SimpleNamespace):
    def make(*cells: dict, **changes) -> list[str]:
        return verdict(Results.make(**invented.minimal(cells=list(cells), **changes)))

    return make


def test_a_clear_win_is_called_clear_with_its_points(lines, invented) -> None:
    found = lines(invented.cell("2", 60, 30.0), invented.cell("random", 60, 24.0))
    assert found[0].startswith("Best choice: 60 examples of level 2, right on 30.0 % (28.8 to 31.2)")
    assert found[1] == ("Against 60 examples drawn at random, at 24.0 % (22.8 to 25.2): +6.0 points, a clear gain.")
    assert found[2] == "Against the untouched base model, at 10.0 % (8.8 to 11.2): +20.0 points, a clear gain."


def test_overlapping_intervals_are_no_clear_difference(lines, invented) -> None:
    found = lines(invented.cell("2", 60, 26.0), invented.cell("random", 60, 24.0))
    assert found[1].endswith("+2.0 points, no clear difference (the intervals overlap).")


def test_a_best_choice_below_random_and_below_the_base_is_a_clear_loss(lines, invented) -> None:
    found = lines(invented.cell("0", 60, 5.0), invented.cell("random", 60, 40.0))
    assert found[1].endswith("−35.0 points, a clear loss.")
    assert found[2].endswith("−5.0 points, a clear loss.")


def test_random_is_taken_at_the_size_of_the_best_choice(lines, invented) -> None:
    found = lines(invented.cell("2", 60, 30.0), invented.cell("random", 60, 20.0), invented.cell("random", 240, 29.0))
    assert "60 examples drawn at random, at 20.0 %" in found[1]


def test_without_a_random_draw_of_that_size_nothing_is_claimed_about_choosing(lines, invented) -> None:
    found = lines(invented.cell("2", 60, 30.0), invented.cell("random", 240, 20.0))
    assert found[1] == ("No random draw of the same size was trained, so nothing can be said about choosing at all.")


def test_the_next_best_choice_of_the_same_size_is_named(lines, invented) -> None:
    found = lines(
        invented.cell("2", 60, 30.0),
        invented.cell("3", 60, 29.5),
        invented.cell("4", 240, 29.9),
        invented.cell("1", 60, 9.0),
    )
    assert "the next best at that size, 60 examples of level 3, at 29.5 %" in found[3]
    assert "no clear difference" in found[3]


def test_out_of_domain_is_judged_against_the_base_there(lines, invented) -> None:
    base = {"test": invented.flat(10.0), "ood": invented.flat(12.0)}
    found = lines(invented.cell("2", 60, 30.0, ood=18.0), base=base)
    assert found[-1].endswith("it reaches 18.0 % (16.8 to 19.2): +6.0 points, a clear gain against the base.")


def test_missing_scores_are_said_and_never_raise(lines, invented) -> None:
    none = {"macro": None}
    (only,) = lines({"levels": "2", "size": 60, "seed": 0, "test": none})
    assert "no best choice to name" in only
    assert any("base has no macro score" in line for line in lines(invented.cell("2", 60, 30.0), base={"test": none}))


def test_of_equal_scores_the_smaller_size_is_best(lines, invented) -> None:
    assert "60 examples" in lines(invented.cell("2", 240, 30.0), invented.cell("2", 60, 30.0))[0]


def test_seeds_that_disagree_make_the_difference_unclear(lines, invented) -> None:
    apart = [
        invented.cell(c, 60, m, seed=s)
        for c, m, s in (("2", 20, 0), ("2", 40, 1), ("random", 15, 0), ("random", 35, 1))
    ]
    assert "no clear difference" in lines(*apart)[1]
    alike = [
        invented.cell(c, 60, m, seed=s)
        for c, m, s in (("2", 29.9, 0), ("2", 30.1, 1), ("random", 24.9, 0), ("random", 25.1, 1))
    ]
    assert "a clear gain" in lines(*alike)[1]


# -- beside the papers ------------------------------------------------------------

FLAT, PEAK, MIDDLE, KNOWN, DIAGONAL, FORGET = range(6)


@pytest.fixture
def agreement(invented: SimpleNamespace):
    def make(*cells: dict) -> list[str]:
        return [claim.agreement for claim in claims(Results.make(**invented.minimal(cells=list(cells))))]

    return make


def test_a_flat_curve_agrees_with_study_a_and_a_rise_differs(agreement, invented) -> None:
    cell = invented.cell
    assert agreement(cell("2", 60, 50.0), cell("2", 1920, 50.5))[FLAT] == "agrees"
    assert agreement(cell("2", 60, 50.0), cell("2", 1920, 60.0))[FLAT] == "differs"
    assert agreement(cell("2", 60, 50.0), cell("2", 240, 60.0), cell("2", 1920, 50.0))[FLAT] == "differs"
    assert agreement(cell("2", 60, 50.0))[FLAT] == "cannot tell"
    assert agreement(cell("2", 480, 50.0), cell("2", 1920, 60.0))[FLAT] == "cannot tell"


def test_a_peak_at_240_agrees_with_study_c(agreement, invented) -> None:
    cell = invented.cell

    def curve(*values: float) -> str:
        return agreement(*(cell("2", n, v) for n, v in zip((60, 240, 1920), values, strict=True)))[PEAK]

    assert curve(50.0, 58.0, 45.0) == "agrees"
    assert curve(50.0, 58.0, 57.0) == "cannot tell"
    assert curve(50.0, 58.0, 66.0) == "differs"
    assert agreement(cell("2", 60, 50.0), cell("2", 1920, 60.0))[PEAK] == "cannot tell"


def test_the_middle_level_claim_looks_at_level_two(agreement, invented) -> None:
    def at_60(**values: float) -> str:
        return agreement(*(invented.cell(level[1], 60, value) for level, value in values.items()))[MIDDLE]

    assert at_60(l0=30, l2=50, l4=40) == "agrees"
    assert at_60(l0=30, l2=50, l4=60) == "differs"
    assert at_60(l0=30, l2=50, l4=51) == "cannot tell"
    assert at_60(l2=50, l4=60) == "cannot tell"


def test_better_known_facts_answered_better(agreement, invented) -> None:
    def model(*values: float) -> str:
        return agreement({"levels": "2", "size": 60, "seed": 0, "test": invented.scores(list(values))})[KNOWN]

    assert model(0, 20, 40, 60, 80) == "agrees"
    assert model(0, 80, 60, 40, 20) == "differs"
    assert model(0, 50, 50, 50, 50) == "cannot tell"


def test_the_diagonal_claim_counts_columns(agreement, invented) -> None:
    def rows(own: float) -> str:
        cells = [
            {
                "levels": str(i),
                "size": 60,
                "seed": 0,
                "test": invented.scores([own if i == j else 50.0 for j in range(5)]),
            }
            for i in range(5)
        ]
        return agreement(*cells)[DIAGONAL]

    assert rows(70.0) == "agrees"
    assert rows(20.0) == "differs"
    assert rows(49.9) == "cannot tell"


def test_forgetting_compares_level_four_facts_after_level_zero_and_after_level_four(agreement, invented) -> None:
    def pair(after_0: float, after_4: float) -> str:
        return agreement(invented.cell("0", 60, after_0), invented.cell("4", 60, after_4))[FORGET]

    assert pair(40.0, 80.0) == "agrees"
    assert pair(80.0, 40.0) == "differs"
    assert pair(60.0, 60.5) == "cannot tell"
    assert agreement(invented.cell("0", 60, 40.0))[FORGET] == "cannot tell"
