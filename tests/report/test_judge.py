"""The best choice is picked on one half of the questions and judged on the other, with the spread between trainings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from recollect.core.estimates import halves
from recollect.report.chapters.elicits.judge import judge
from recollect.report.scores.record import Best, Choice

IDS = [f"f{n:03d}" for n in range(200)]
LEVELS = [n % 5 for n in range(200)]


def outputs(right: Callable[[int, str], bool], ood: Callable[[int], bool] | None = None) -> pl.DataFrame:
    """A table of answers: `right(number, id)` of the in-domain facts, `ood(number)` of forty others."""
    rows = [(name, "test", level, right(n, name)) for n, (name, level) in enumerate(zip(IDS, LEVELS, strict=True))]
    rows += [(f"o{n}", "ood", n % 2, ood(n)) for n in range(40)] if ood else []
    schema = {"fact_id": pl.String, "part": pl.String, "level": pl.Int64, "contains": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def some(share: float, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed).random(200)
    return outputs(lambda n, _: bool(draw[n] < share))


CHOOSING, SCORING = halves(IDS, LEVELS, 0)


def test_the_winner_of_the_choosing_half_is_judged_on_the_other() -> None:
    """Level 3 is right on the choosing facts alone; level 2 on half of all."""
    lucky = outputs(lambda _, name: name in CHOOSING)
    half = outputs(lambda n, _: n // 5 % 2 == 0)
    nothing = outputs(lambda *_: False)
    found = judge(nothing, [("3", 60, lucky), ("3", 60, lucky), ("2", 60, half), ("2", 60, half)], seed=0, least=10)
    assert found is not None
    assert (found.levels, found.chosen_score, found.score.value) == ("3", 1, 0)
    assert (found.chosen_on, found.judged_on, found.candidates) == (len(CHOOSING), len(SCORING), 3)
    assert sorted(found.judged_facts) == sorted(SCORING)
    assert (
        found.rival is not None and found.rival.levels == "2" and found.rival.value == pytest.approx(-found.rival.score)
    )


def test_a_clear_gain_needs_two_trainings_on_both_sides() -> None:
    base = some(0.1, 0)
    once = judge(base, [("2", 60, some(0.9, 1)), ("random", 60, some(0.2, 2))], seed=0, least=10)
    assert once is not None and once.random is not None and once.base is not None
    assert once.random.value > 0.5
    assert (once.random.interval, once.random.sign, once.base.sign) == (None, None, None)
    cells = [
        ("2", 60, some(0.9, 1)),
        ("2", 60, some(0.9, 3)),
        ("random", 60, some(0.2, 2)),
        ("random", 60, some(0.2, 4)),
    ]
    twice = judge(base, cells, seed=0, least=10)
    assert twice is not None and twice.random is not None and twice.base is not None
    assert (twice.random.sign, twice.base.sign, twice.seeds) == (1, 1, 2)


def test_random_competes_and_so_does_the_untouched_base() -> None:
    cells = [
        ("2", 60, some(0.2, 1)),
        ("2", 60, some(0.2, 2)),
        ("random", 60, some(0.8, 3)),
        ("random", 60, some(0.8, 4)),
    ]
    won = judge(some(0.1, 0), cells, seed=0, least=10)
    assert won is not None and (won.levels, won.random) == ("random", None)
    assert won.rival is not None and won.rival.levels == "2"
    base = judge(
        some(1.0, 0),
        [("2", 60, some(0.2, 1)), ("2", 60, some(0.2, 2)), ("random", 60, some(0.4, 3)), ("random", 60, some(0.4, 4))],
        seed=0,
        least=10,
    )
    assert base is not None and (base.levels, base.size, base.base) == (None, 0, None)
    assert base.rival is not None and (base.rival.levels, base.rival.sign) == ("random", 1)
    assert base.rival.value == pytest.approx(base.score.value - base.rival.score)


def test_trainings_that_differ_more_than_choices_are_no_clear_gain() -> None:
    cells = [
        *(("2", 60, some(share, at)) for at, share in enumerate((0.2, 0.8))),
        *(("random", 60, some(share, at)) for at, share in enumerate((0.15, 0.6), 5)),
    ]
    found = judge(some(0.1, 9), cells, seed=0, least=10)
    assert found is not None and found.random is not None
    assert found.random.sign == 0


def test_too_small_levels_leave_the_macro_and_without_any_it_is_micro() -> None:
    cells = [("2", 60, some(0.5, 1)), ("2", 60, some(0.5, 2))]
    assert judge(some(0.1, 0), cells, seed=0, least=10).macro_levels == [0, 1, 2, 3, 4]  # type: ignore[union-attr]
    micro = judge(some(0.1, 0), cells, seed=0, least=21)
    assert micro is not None and (micro.mean, micro.macro_levels) == ("micro", [])


def test_out_of_domain_chooses_nothing_and_is_compared_with_the_base() -> None:
    base = outputs(lambda *_: False, ood=lambda n: n % 4 == 0)
    cell = outputs(lambda n, _: n % 2 == 0, ood=lambda n: n % 4 != 0)
    found = judge(base, [("2", 60, cell), ("2", 60, cell)], seed=0, least=10)
    assert found is not None and found.ood_base is not None
    assert (found.ood_score.value, found.ood_base.value, found.ood_base.sign) == (0.75, 0.5, 1)


def test_of_equal_scores_the_cheapest_wins() -> None:
    same = some(0.5, 1)
    cells = [("2", 240, same), ("4", 60, same), ("2", 240, same), ("4", 60, same)]
    found = judge(outputs(lambda *_: False), cells, seed=0, least=10)
    assert found is not None and (found.levels, found.size) == ("4", 60)


def test_without_a_training_there_is_nothing_to_judge() -> None:
    assert judge(some(0.1, 0), [], seed=0, least=10) is None


def test_a_subject_is_in_one_half_and_the_unit_of_every_interval() -> None:
    """All subjects are asked twice, of the same level, and both questions have one outcome."""
    draws = np.random.default_rng(7).random((5, 200))

    def asked(run: int, share: float, subjects: bool) -> pl.DataFrame:
        table = outputs(lambda n, _: bool(draws[run][n % 100] < share))
        names = pl.Series("subject", [f"s{n % 100:03}" if n < 200 else f"o{n}" for n in range(table.height)])
        return table.with_columns(names) if subjects else table

    def best(subjects: bool) -> Best:
        cells = [(choice, 60, asked(run, share, subjects)) for run, choice, share in _RUNS]
        found = judge(asked(4, 0.2, subjects), cells, seed=0, least=10)
        assert found is not None and found.base is not None and found.base.interval is not None
        return found

    alone, together = best(False), best(True)
    assert {(int(name[1:]) + 100) % 200 for name in together.judged_facts} == {
        int(name[1:]) for name in together.judged_facts
    }
    assert together.score.high - together.score.low > 1.1 * (alone.score.high - alone.score.low)
    assert together.base is not None and together.base.interval is not None and alone.base is not None
    assert alone.base.interval is not None
    widths = [one.high - one.low for one in (together.base.interval, alone.base.interval)]
    assert widths[0] > 1.1 * widths[1]


_RUNS: tuple[tuple[int, Choice, float], ...] = ((0, "2", 0.6), (1, "2", 0.6), (2, "random", 0.4), (3, "random", 0.4))
