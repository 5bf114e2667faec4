"""The verdict and the comparison with the papers, on results whose answer is known by construction."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import helpers_verdict as made
from recollect.report import make_results, verdict
from recollect.report.chapters.elicits.verdict import ONCE, against_base
from recollect.report.chapters.sizes.claims import claims
from recollect.report.scores.record import Trained


@pytest.fixture
def lines(invented: SimpleNamespace):
    def make(found: dict | None) -> list[str]:
        return verdict(make_results(invented.minimal(best=found)))

    return make


def test_the_best_choice_is_told_with_the_questions_that_chose_and_that_judged(lines) -> None:
    found = lines(made.best())
    assert found[0] == (
        "Best of 12 choices and the untouched base: 60 examples of level 2 on the 49 facts that choose; right on "
        "30.0 % (25.0 to 35.0) of the 51 in-domain test facts that did not choose (each memory level counted equally)."
    )
    assert found[1] == "Against 60 examples drawn at random, at 24.0 %: +6.0 points (+1.0 to +11.0), a clear gain."
    assert found[2] == "Against the untouched base model, at 10.0 %: +20.0 points (+14.0 to +26.0), a clear gain."
    assert found[3] == (
        "Against the next best selection of that size, 60 examples of level 3, at 29.5 %: +0.5 points (−4.0 to +5.0), "
        "no clear difference (the interval holds zero)."
    )
    assert found[-1] == (
        "These 3 differences hold together at 95 %, whichever of 12 choices had won; so their intervals, and those of "
        "the scores here, are wider than in the tables."
    )


def test_one_training_each_claims_nothing(lines) -> None:
    found = lines(made.best(seeds=1, random=made.gap("random", 26.0), rival=made.gap("3", 20.0)))
    assert found[1].endswith("+26.0 points; " + ONCE + ".")
    assert not any("clear" in line for line in (found[1], found[3]))


def test_nothing_is_said_of_intervals_that_are_not_there(lines) -> None:
    once = {"random": made.gap("random", 26.0), "base": made.gap(None, 20.0), "rival": made.gap("3", 20.0)}
    assert not any("hold together" in line for line in lines(made.best(seeds=1, **once)))
    assert "95 %; so" in lines(made.best(candidates=2, rival=None))[-1]


def test_a_loss_against_random_is_a_loss(lines) -> None:
    assert lines(made.best(random=made.gap("random", -35.0, -40.0, -30.0)))[1].endswith(
        "(−40.0 to −30.0), a clear loss."
    )


def test_a_next_best_that_is_ahead_on_the_judging_half_is_explained(lines) -> None:
    behind = lines(made.best(rival=made.gap("3", -4.5, -20.0, 11.0)))[3]
    assert behind.endswith("zero); the best was chosen on the other half of the questions, where it was ahead.")
    assert "other half" not in lines(made.best())[3]


def test_beside_other_studies_a_sentence_opens_with_what_is_claimed(invented: SimpleNamespace) -> None:
    def said(**how: object) -> str:
        trained = make_results(invented.minimal(best=made.best(**how))).of(Trained)
        assert trained is not None and trained.best is not None
        return against_base(trained.best)

    unclear = said(base=made.gap(None, 10.0, -61.0, 77.0), macro_levels=[4])
    assert unclear.startswith("no clear difference between 60 examples of level 2 and the untouched base model: right")
    assert "% of the 51 in-domain" in unclear and "level 4 alone" in unclear and "(−61.0 to +77.0)" in unclear
    assert said().startswith("60 examples of level 2 beat the untouched base model: right on 30.0 % against 10.0 %")
    assert said(base=made.gap(None, -10.0, -15.0, -5.0)).startswith("60 examples of level 2 did worse than")
    assert said(seeds=1, base=made.gap(None, 20.0)).startswith(
        "60 examples of level 2 and the untouched base model can"
    )
    assert said(levels=None, size=0, base=None).startswith("No training was better")


def test_random_competes_and_may_win(lines) -> None:
    found = lines(made.best(levels="random", random=None))
    assert found[0].startswith(
        "Best of 12 choices and the untouched base: 60 examples drawn at random, which beats every choice by level on"
    )
    assert not any("No random draw" in line for line in found)


def test_the_untouched_base_competes_and_may_win(lines) -> None:
    found = lines(made.best(levels=None, size=0, base=None, random=None, rival=made.gap("random", 3.0, -1.0, 7.0)))
    assert found[0].startswith("No training was better than the untouched base on the 49 facts that choose.")
    assert found[1].startswith("Against the training that came next on that half, 60 examples drawn at random")
    assert len(found) == 2


def test_without_a_random_draw_of_that_size_nothing_is_claimed_about_choosing(lines) -> None:
    assert lines(made.best(random=None))[1] == (
        "No random draw of the same size was trained, so nothing can be said about choosing at all."
    )


def test_levels_that_do_not_enter_the_macro_are_named(lines) -> None:
    assert (
        "memory levels 1, 3 counted equally, the others have too few facts" in lines(made.best(macro_levels=[1, 3]))[0]
    )
    assert "memory level 4 alone counts, the others" in lines(made.best(macro_levels=[4]))[0]
    assert "every fact counted equally" in lines(made.best(mean="micro", macro_levels=[]))[0]


def test_out_of_domain_is_judged_against_the_base_there(lines) -> None:
    away = {"ood_score": 18.0, "ood_low": 15.0, "ood_high": 21.0, "ood_base": made.gap(None, 6.0, 2.0, 10.0)}
    assert any(
        line.endswith("it reaches 18.0 % (15.0 to 21.0); against the base: +6.0 points (+2.0 to +10.0), a clear gain.")
        for line in lines(made.best(**away))
    )
    assert any("whether the gain carries over is open" in line for line in lines(made.best()))


def test_without_a_judged_choice_none_is_named(lines) -> None:
    (only,) = lines(None)
    assert "no best choice to name" in only


# -- beside the papers ------------------------------------------------------------

FLAT, PEAK, MIDDLE, KNOWN, DIAGONAL, FORGET = range(6)


@pytest.fixture
def agreement(invented: SimpleNamespace):
    """What is said of each claim; every cell is trained twice, the seeds 0.2 points apart, unless `once`."""

    def make(*cells: dict, once: bool = False) -> list[str]:
        twice = [{**cell, "seed": 1} for cell in cells]
        return [
            claim.agreement
            for claim in claims(make_results(invented.minimal(cells=[*cells, *([] if once else twice)])))
        ]

    return make


def test_a_flat_curve_agrees_only_where_the_interval_excludes_a_gain(agreement, invented) -> None:
    cell = invented.cell
    assert agreement(cell("2", 60, 50.0), cell("2", 1920, 49.5))[FLAT] == "agrees"
    assert agreement(cell("2", 60, 50.0, half=4.0), cell("2", 1920, 50.5, half=4.0))[FLAT] == "cannot tell"
    assert agreement(cell("2", 60, 50.0), cell("2", 1920, 60.0))[FLAT] == "differs"
    assert agreement(cell("2", 60, 50.0))[FLAT] == "cannot tell"
    assert agreement(cell("2", 480, 50.0), cell("2", 1920, 60.0))[FLAT] == "cannot tell"


def test_trainings_without_repeats_tell_nothing_of_differences_between_them(agreement, invented) -> None:
    cells = [
        invented.cell(level, size, 20.0 + 4 * int(level) + size / 9) for level in "01234" for size in (60, 240, 480)
    ]
    found = agreement(*cells, once=True)
    assert {found[at] for at in (FLAT, PEAK, MIDDLE, DIAGONAL, FORGET)} == {"cannot tell"}
    assert "cannot tell" not in {agreement(*cells)[at] for at in (FLAT, FORGET)}


def test_a_peak_at_240_agrees_with_token_and_parameter_levels(agreement, invented) -> None:
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
    assert at_60(l0=65, l2=50, l4=60) == "differs"
    assert at_60(l0=30, l2=50, l4=60) == "cannot tell"  # one of two others is clearly ahead
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
