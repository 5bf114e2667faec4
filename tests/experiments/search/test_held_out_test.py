"""The held-out test: paired gains against brute force, and the warning when validation and test part ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recollect.experiments.search.held_out_test import BASE, HeldOut, choose_finalists, held_out_test
from recollect.experiments.search.trial import Trial
from recollect.experiments.search.validation import compare, score_of


def evaluation(folder: Path, right: dict[int, list[int]], part: str = "test") -> Path:
    """A stored evaluation: outcomes by memory level."""
    folder.mkdir(parents=True)
    rows = [
        (f"f{level}-{at}", part, level, bool(value))
        for level, values in right.items()
        for at, value in enumerate(values)
    ]
    pl.DataFrame(rows, schema=["fact_id", "part", "level", "contains"], orient="row").with_columns(
        word=pl.col("contains")
    ).write_parquet(folder / "outputs.parquet")
    return folder


def outcomes(share: float, n: int = 60, shift: int = 0) -> list[int]:
    return [int((at * 7 + shift) % n < share * n) for at in range(n)]


def trial(number: int, score: float, *, start: bool = False) -> Trial:
    return Trial(number, {"learning_rate": 0.1}, "finished", 1, {0: score, 1: score}, start=start)


def held_out(folder: Path, validation: dict[int, float], test: dict[int, float]) -> HeldOut:
    """A held-out test whose trials have these shares of right answers; trial 0 is the baseline."""
    paths = {
        name: {
            number: evaluation(folder / name / str(number), {2: outcomes(share)})
            for number, share in {**shares, BASE: 0.1}.items()
        }
        for name, shares in (("validation", validation), ("test", test))
    }
    trials = [trial(number, 100 * share, start=number == 0) for number, share in validation.items()]
    return held_out_test(choose_finalists(trials, 1, 5), paths["validation"], paths["test"])


def test_a_score_is_the_mean_over_levels(tmp_path: Path) -> None:
    path = evaluation(tmp_path / "one", {0: [1, 0, 0, 0], 4: [1, 1], 2: [0]})
    assert score_of(path, least=2) == pytest.approx((25 + 100) / 2), "a level with one fact does not decide it"
    assert score_of(path) == pytest.approx(100 * 3 / 7), "no level has enough, so all facts are pooled"
    found, pooled = compare({0: path}, "test", least=2), compare({0: path}, "test")
    assert found is not None and found.how == "mean over memory levels 0, 4 (left out, with fewer than 2 facts: 2)"
    assert pooled is not None and "since none of the memory levels has 10 facts" in pooled.how


def test_gains_are_paired(tmp_path: Path) -> None:
    """Where both are right and wrong on the same questions, their difference has little noise, however wide the scores;
    but some: that none of 60 facts a level differs does not say that none of all would."""
    paths = {n: evaluation(tmp_path / str(n), {1: outcomes(0.5), 3: outcomes(0.5)}) for n in (0, 1)}
    scored = compare(paths, "test")
    assert scored is not None
    gain, score = scored.gain(1, 0), scored.of(1)
    assert (gain.value, gain.n) == (0, 120) and -5 < gain.low < 0 < gain.high < 5
    assert score.high - score.low > 10
    assert compare(paths, "ood") is None


def test_the_interval_of_a_gain_agrees_with_its_theory(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    first, second = (random.random(400) < share for share in (0.4, 0.5))
    paths = {n: evaluation(tmp_path / str(n), {2: [int(v) for v in one]}) for n, one in enumerate((first, second))}
    scored = compare(paths, "test")
    assert scored is not None
    gain, change = scored.gain(1, 0), second.astype(float) - first
    assert gain.value == pytest.approx(100 * change.mean())
    half = 1.96 * 100 * change.std() / 20
    assert gain.low == pytest.approx(gain.value - half, abs=0.6) and gain.high == pytest.approx(
        gain.value + half, abs=0.6
    )


def test_the_best_is_the_best_on_validation_even_if_the_test_prefers_another(tmp_path: Path) -> None:
    found = held_out(tmp_path, {0: 0.3, 1: 0.6, 2: 0.55}, {0: 0.3, 1: 0.5, 2: 0.6})
    assert found.best.trial.number == 1 and [one.trial.number for one in found.finalists] == [1, 2, 0]
    assert found.best.gain is not None and found.best.gain.value == pytest.approx(20)
    assert found.gain_over_base.value == pytest.approx(40)


def test_a_gain_that_stays_on_validation_is_over_fitting(tmp_path: Path) -> None:
    found = held_out(tmp_path, {0: 0.3, 1: 0.8}, {0: 0.3, 1: 0.3})
    assert found.drop is not None and found.drop.value == pytest.approx(50) and found.drop.low > 0
    assert any("part ways" in text and "50.0 points larger" in text for text in found.warnings)


def test_a_best_that_is_worse_than_the_baseline_is_said(tmp_path: Path) -> None:
    found = held_out(tmp_path, {0: 0.5, 1: 0.55}, {0: 0.6, 1: 0.2})
    assert any("less than the baseline" in text and "40.0 points" in text for text in found.warnings)


def test_an_order_that_is_reversed_on_the_test_is_said(tmp_path: Path) -> None:
    found = held_out(tmp_path, {0: 0.4, 1: 0.5, 2: 0.55, 3: 0.6}, {0: 0.6, 1: 0.55, 2: 0.5, 3: 0.45})
    assert found.rank_correlation == pytest.approx(-1)
    assert any("rank correlation -1.00" in text for text in found.warnings)
    assert held_out(tmp_path / "few", {0: 0.4, 1: 0.5}, {0: 0.5, 1: 0.4}).rank_correlation is None


def test_the_untouched_base_competes_for_the_best(tmp_path: Path) -> None:
    assert held_out(tmp_path / "behind", {0: 0.05, 1: 0.1}, {0: 0.3, 1: 0.3}).base_ahead
    assert not held_out(tmp_path / "ahead", {0: 0.05, 1: 0.2}, {0: 0.3, 1: 0.3}).base_ahead


def test_without_a_finished_baseline_no_gain_is_stated(tmp_path: Path) -> None:
    found = held_out(tmp_path, {1: 0.5, 2: 0.4}, {1: 0.5, 2: 0.4})
    assert found.best.gain is None and found.baseline is None
    assert "The baseline did not finish" in found.warnings[0]


def test_the_baseline_is_asked_though_it_is_no_finalist() -> None:
    trials = [trial(0, 10, start=True), *(trial(number, 50 - number) for number in range(1, 8))]
    assert [one.number for one in choose_finalists(trials, 1, 3)] == [1, 2, 3, 0]
    assert [one.number for one in choose_finalists(trials[1:], 1, 3)] == [1, 2, 3]
