"""Models against models by their probes: known and unknown facts by hand, expected levels, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers_levels import write_probe
from recollect.compare import ApartBeyondDraws, LevelsFound, compare_levels, levels_found, read_probes
from recollect.core.estimates import proportion
from recollect.errors import InputError

FIRST = [0, 0, 0, 1, 2, 4, 0, 3, 1, 0]
SECOND = [0, 1, 0, 1, 4, 4, 0, 0, 2, 0]


def test_which_facts_both_know_by_hand(tmp_path: Path) -> None:
    result = compare_levels(
        [write_probe(tmp_path / "a", FIRST), write_probe(tmp_path / "b", SECOND)], out=tmp_path / "levels"
    )
    found, pair = result.found, result.found.pairs[0]
    assert [one.name for one in found.models] == ["a", "b"] and found.n == pair.n == 10
    assert [share.value for share in found.models[0].shares] == pytest.approx([0.5, 0.2, 0.1, 0.1, 0.1])
    # known: a has facts 3 4 5 7 8, b has 1 3 4 5 8
    shares = [one.value for one in (pair.both, pair.first_alone, pair.second_alone, pair.neither)]
    assert shares == pytest.approx([0.4, 0.1, 0.1, 0.4])
    assert pair.kappa_known is not None and pair.kappa_known.value == pytest.approx((0.8 - 0.5) / 0.5)
    # shares of b: 5 2 1 0 2 of 10, so one fact of level 3 moved to 4
    assert pair.total_variation.value == pytest.approx(0.1) and pair.levels_apart.value == pytest.approx(0.1)
    assert pair.difference.value == pytest.approx((1 + 2 - 3 + 1) / 10)
    assert pair.table[0] == pytest.approx((4, 1, 0, 0, 0)) and np.sum(pair.table) == pytest.approx(10)
    assert sum(one.n for one in pair.relations) == 10 and pair.relations[0].known_first.value == pytest.approx(0.4)
    facts = result.facts()
    assert facts["level_1"].to_list() == FIRST and facts["level_2"].to_list() == SECOND
    assert compare_levels([tmp_path / "a", tmp_path / "b"], out=tmp_path / "levels").found == found  # found again


def test_a_probability_counts_as_what_it_is(tmp_path: Path) -> None:
    maybe = [[0.5, 0.5, 0, 0, 0], [0, 0, 0, 0.25, 0.75]]
    sure = [[1.0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]]
    one = write_probe(tmp_path / "a", [0, 4], maybe, method="adaptive")
    other = write_probe(tmp_path / "b", [0, 4], sure, method="hybrid")
    result = compare_levels([one, other], out=tmp_path / "levels")
    found, pair = result.found, result.found.pairs[0]
    assert [model.grades for model in found.models] == ["expected", "expected"]
    assert [share.value for share in found.models[0].shares] == pytest.approx([0.25, 0.25, 0, 0.125, 0.375])
    assert (pair.both.value, pair.first_alone.value, pair.neither.value) == pytest.approx((0.5, 0.25, 0.25))
    assert pair.levels_apart.value == pytest.approx(0.25 + 0.125)
    assert result.facts()["expected_1"].to_list() == pytest.approx([0.5, 3.75])


def test_a_model_against_itself_is_at_no_distance_and_within_the_draws(tmp_path: Path) -> None:
    levels = FIRST * 6
    paths = [write_probe(tmp_path / name, levels) for name in ("a", "b")]
    found = compare_levels(paths, out=tmp_path / "levels").found
    pair, repeat = found.pairs[0], found.models[0].repeat
    assert pair.total_variation.value == pair.levels_apart.value == pair.difference.value == 0
    assert pair.kappa_levels is not None and pair.kappa_levels.value == pytest.approx(1)
    assert repeat is not None and 0 < repeat.levels_apart < repeat.levels_apart_most < 0.3
    assert repeat.kappa_levels is not None and 0.7 < repeat.kappa_levels < 1
    assert pair.verdict(*found.models) == "no further apart than two probes of one model"
    again = pair.by_draws(*found.models)
    assert again["levels_apart"] == f"up to {repeat.levels_apart_most:.2f}"
    assert again["kappa_levels"] == f"about {repeat.kappa_levels:.2f}"
    far = compare_levels([paths[0], write_probe(tmp_path / "c", [4] * 60)], out=tmp_path / "far").found
    assert far.pairs[0].verdict(*far.models) == "further apart than two probes of one model"


def test_turned_round_it_is_the_same(tmp_path: Path) -> None:
    paths = [write_probe(tmp_path / "a", FIRST * 3), write_probe(tmp_path / "b", SECOND * 3)]
    one = compare_levels(paths, out=tmp_path / "one").found.pairs[0]
    other = compare_levels(paths[::-1], out=tmp_path / "other").found.pairs[0]
    for name in ("total_variation", "levels_apart", "both", "neither", "kappa_levels"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value)
    assert one.difference.value == pytest.approx(-other.difference.value)
    assert one.first_alone.value == pytest.approx(other.second_alone.value)


def test_only_common_facts_are_compared_and_what_was_probed_otherwise_is_told(tmp_path: Path) -> None:
    first = write_probe(tmp_path / "a", FIRST)
    second = write_probe(tmp_path / "b", SECOND, first=4, samples=5)
    third = write_probe(tmp_path / "c", FIRST, [], method="hybrid")
    found = compare_levels([first, second, third], ["x", "y", "z"], out=tmp_path / "levels").found
    assert found.n == 6 and len(found.pairs) == 3
    notes = " | ".join(found.notes)
    assert "left out: x 4 more, y 4 more" in notes and "y was probed otherwise than x: samples 5 for 10" in notes
    assert "too few facts" in notes and found.models[2].grades == "taken" and found.models[2].repeat is None
    assert found.pairs[1].verdict(found.models[0], found.models[2]) == "cannot tell from the draws' noise"


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    first = write_probe(tmp_path / "a", FIRST)
    with pytest.raises(InputError, match="two probes or more"):
        compare_levels([first])
    with pytest.raises(InputError, match="no fact in common"):
        compare_levels([first, write_probe(tmp_path / "b", SECOND, first=20)])
    with pytest.raises(InputError, match="judged in different ways"):
        compare_levels([first, write_probe(tmp_path / "c", SECOND, judge="word")])
    with pytest.raises(InputError, match="all different"):
        compare_levels([first, first], ["a", "a"])
    with pytest.raises(InputError, match="none empty"):
        compare_levels([first, write_probe(tmp_path / "d", SECOND)], ["a", " "])
    with pytest.raises(InputError, match="no such step"):
        compare_levels([first, tmp_path / "nothing"])


def test_the_distance_beyond_the_draws_is_made_of_what_the_comparison_tells(tmp_path: Path) -> None:
    """So that the finding that models differ and the chapter on models cannot part ways."""
    random = np.random.default_rng(0)
    for name, more in (("far", 2), ("near", 0)):
        levels = random.integers(0, 3, 80)
        other = np.clip(levels + (random.random(80) < 0.1) * 1 + more, 0, 4)
        paths = [write_probe(tmp_path / f"{name}-{at}", one.tolist()) for at, one in enumerate((levels, other))]
        probes, notes = read_probes(paths, ["a", "b"])
        found = levels_found(probes, notes)
        measure = ApartBeyondDraws(probes[0].graded, probes[1].graded)
        (pair,) = found.pairs
        most = max(one.repeat.levels_apart_most for one in found.models if one.repeat)
        assert measure.distance == pair.levels_apart and measure.by_draws == most
        verdict = pair.verdict(*found.models)
        further = measure.at(0.95).low > 0
        assert further == (verdict == "further apart than two probes of one model") == (name == "far")


def test_facts_about_one_subject_are_one(tmp_path: Path) -> None:
    """Thirty subjects of two facts each, of one level: all intervals are those of thirty facts, or near it."""
    first, second = (np.repeat(levels * 3, 2).tolist() for levels in (FIRST, SECOND))

    def pair(asked: int) -> LevelsFound:
        paths = [write_probe(tmp_path / f"{name}{asked}", levels, asked=asked)
                 for name, levels in (("a", first), ("b", second))]  # fmt: skip
        return compare_levels(paths, out=tmp_path / f"levels{asked}").found

    alone, together = pair(1), pair(2)
    for name in ("both", "difference", "levels_apart", "total_variation"):
        one, other = (getattr(found.pairs[0], name) for found in (alone, together))
        assert one.value == other.value
        assert other.high - other.low > 1.25 * (one.high - one.low)
    share, wanted = together.models[0].known, proportion(15, 30)
    assert (share.low, share.high) == pytest.approx((wanted.low, wanted.high))
