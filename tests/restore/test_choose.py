"""The rung is chosen on one half of the facts and judged on the other."""

import polars as pl
import pytest

from recollect.restore.choose import ahead, choose, halves, judging, score


def answers(right, *, part="test", levels=(0, 1, 2, 3, 4)):
    """An outputs table: for each level, so many facts, right as `right(level, number)` says."""
    rows = [(f"{part}-{level}-{number}", part, level, right(level, number)) for level in levels for number in range(41)]
    return pl.DataFrame(rows, schema=["fact_id", "part", "level", "contains"], orient="row")


def test_the_halves_are_disjoint_cover_the_test_part_and_are_even_in_every_level():
    table = pl.concat([answers(lambda *_: True), answers(lambda *_: True, part="ood")])
    validation, test = halves(table, 0)
    assert not validation & test
    assert validation | test == set(table.filter(pl.col("part") == "test")["fact_id"])
    for level in range(5):
        assert sum(fact.startswith(f"test-{level}-") for fact in validation) == 20
    assert halves(table.reverse(), 0) == (validation, test)
    assert halves(table, 1)[0] != validation


def test_the_choice_sees_the_validation_half_alone_and_is_judged_on_the_other():
    tuned = answers(lambda level, number: number % 2 == 0)
    validation, test = halves(tuned, 0)
    lucky = tuned.with_columns(contains=pl.col("fact_id").is_in(list(validation)))
    better_unseen = tuned.with_columns(contains=pl.col("fact_id").is_in(list(test)))
    chosen = choose("relative", {0.0: tuned, 5.0: lucky, 20.0: better_unseen}, judging(tuned, 0))
    assert (chosen.percent, chosen.validation, chosen.test) == (5.0, 100, 0)
    assert chosen.gain.high < 0 and not chosen.beats_tuned


def test_a_real_gain_is_chosen_and_beats_the_tuned_model():
    tuned = pl.concat([answers(lambda level, number: number % 3 == 0), answers(lambda *_: False, part="ood")])
    good = pl.concat([answers(lambda level, number: number % 3 < 2), answers(lambda *_: True, part="ood")])
    chosen = choose("relative", {0.0: tuned, 20.0: good}, judging(tuned, 3))
    assert chosen.percent == 20 and chosen.beats_tuned
    assert 100 * chosen.gain.value == pytest.approx(chosen.test - chosen.tuned_test)
    assert chosen.gain.low < chosen.gain.value < chosen.gain.high
    assert chosen.ood_gain.value == 1
    assert ahead(good, tuned, judging(tuned, 3)).value == pytest.approx(chosen.gain.value)


def test_without_a_better_rung_nothing_is_restored_and_of_equal_rungs_the_smallest_wins():
    tuned = answers(lambda level, number: number % 2 == 0)
    worse = answers(lambda level, number: number % 4 == 0)
    none = choose("relative", {0.0: tuned, 5.0: tuned, 20.0: worse}, judging(tuned, 0))
    assert none.percent == 0 and not none.beats_tuned and none.gain.value == 0
    better = answers(lambda *_: True)
    assert choose("relative", {0.0: tuned, 20.0: better, 10.0: better}, judging(tuned, 0)).percent == 10


def test_too_few_test_facts_give_no_choice():
    tuned = answers(lambda *_: True, part="ood")
    assert choose("relative", {0.0: tuned}, judging(tuned, 0)) is None


def test_score_is_the_mean_of_levels_or_of_facts():
    table = answers(lambda level, number: level == 4, levels=(0, 4)).filter(
        (pl.col("level") == 4) | (pl.col("fact_id").str.ends_with("-1"))
    )
    assert score(table, (0, 4)) == 50
    assert score(table, (4,)) == 100
    assert score(table) == pytest.approx(100 * 41 / 42)
    assert score(table, (0, 4), part="ood") is None


def test_both_halves_average_the_same_levels_those_with_enough_facts_to_choose_by():
    sizes = {0: 41, 1: 20, 2: 19, 3: 1}
    table = pl.concat([answers(lambda *_: True, levels=(level,)).head(size) for level, size in sizes.items()])
    how = judging(table, 0)
    assert (how.mean, how.levels) == ("macro", (0, 1))  # 19 facts leave 9 to choose by
    assert judging(table, 0, least=9).levels == (0, 1, 2)
    assert (judging(table, 0, least=30).mean, judging(table, 0, least=30).levels) == ("micro", ())


def test_a_level_of_one_fact_decides_nothing():
    tuned = pl.concat([answers(lambda level, number: number % 2 == 0), answers(lambda *_: False, levels=(4,)).head(0)])
    tuned = tuned.filter((pl.col("level") < 4) | pl.col("fact_id").is_in(["test-4-0", "test-4-1"]))
    lucky = tuned.with_columns(contains=pl.col("contains") | (pl.col("level") == 4))
    how = judging(tuned, 0)
    assert how.levels == (0, 1, 2, 3)
    chosen = choose("relative", {0.0: tuned, 20.0: lucky}, how)
    assert (chosen.percent, chosen.beats_tuned) == (0, False)
    alone = choose("relative", {0.0: tuned, 20.0: lucky}, judging(tuned, 0, least=1))
    assert alone.percent == 20 and not alone.beats_tuned


def test_out_of_domain_facts_without_a_full_level_are_not_compared_by_macro():
    inside, outside = answers(lambda *_: False), answers(lambda *_: False, part="ood", levels=(2,)).head(9)
    table = pl.concat([inside, outside])
    chosen = choose("relative", {0.0: table, 20.0: table}, judging(table, 0))
    assert chosen.ood_gain is None


def test_a_subject_is_not_divided_and_is_the_unit_of_every_gain():
    tuned = pl.concat([answers(lambda level, number: number % 4 == 0), answers(lambda *_: False, part="ood")])
    good = tuned.with_columns(contains=pl.col("fact_id").str.extract(r"(\d+)$").cast(pl.Int64) % 4 < 2)
    twice = pl.col("fact_id").str.replace(r"(\d+)$", "") + (
        (pl.col("fact_id").str.extract(r"(\d+)$").cast(pl.Int64) // 2).cast(pl.String)
    )
    how = judging(tuned.with_columns(subject=twice), 0)
    assert all((f"test-{level}-{at}" in how.choosing) == (f"test-{level}-{at + 1}" in how.choosing)
               for level in range(5) for at in range(0, 40, 2))  # fmt: skip
    assert len(how.choosing) < len(how.scoring) <= len(how.choosing) + 10
    alone = ahead(good, tuned, judging(tuned, 0))
    found = ahead(good, tuned, how)
    assert alone.low > 0 and found.low > 0
    same = good.with_columns(contains=twice.str.extract(r"(\d+)$").cast(pl.Int64) % 2 == 0)
    before = same.with_columns(contains=twice.str.extract(r"(\d+)$").cast(pl.Int64) % 4 == 0)
    wide, narrow = ahead(same, before, how), ahead(same, before, judging(tuned, 0))
    assert wide.high - wide.low > 1.1 * (narrow.high - narrow.low)  # both questions of a subject change or neither
    assert judging(tuned.with_columns(subject=pl.col("fact_id")), 0).choosing == judging(tuned, 0).choosing
