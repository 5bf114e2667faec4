import polars as pl
import pytest

from recollect.evaluate import accuracy_table, summarise
from recollect.statistics import macro_interval, wilson

# test: level 0 has 1 of 4 right, level 1 has 1 of 2, level 3 has 1 of 1, one fact without a level is wrong
LEVEL = [0, 0, 0, 0, 1, 1, 3, None]
RIGHT = [True, False, False, False, True, False, True, False]


def outputs(part="test", level=LEVEL, right=RIGHT):
    strict = [value and index != 0 for index, value in enumerate(right)]  # the stricter matcher misses the first
    return pl.DataFrame(
        {"part": part, "level": level, "contains": right, "word": strict},
        schema={"part": pl.String, "level": pl.Int64, "contains": pl.Boolean, "word": pl.Boolean},
    )


def test_accuracies_agree_with_hand_arithmetic():
    table = accuracy_table(outputs(), ["contains"])
    found = {row["level"]: (row["n"], row["right"], row["accuracy"]) for row in table.iter_rows(named=True)}
    assert found["0"] == (4, 1, 25.0)
    assert found["1"] == (2, 1, 50.0)
    assert found["3"] == (1, 1, 100.0)
    assert found["macro"] == (7, 3, pytest.approx((25 + 50 + 100) / 3))
    assert found["micro"] == (8, 3, pytest.approx(37.5))
    assert set(found) == {"0", "1", "3", "macro", "micro"}


def test_bounds_are_wilsons_and_the_macro_intervals():
    table = accuracy_table(outputs(), ["contains"])
    bounds = {row["level"]: (row["low"] / 100, row["high"] / 100) for row in table.iter_rows(named=True)}
    assert bounds["0"] == pytest.approx(wilson(1, 4))
    assert bounds["micro"] == pytest.approx(wilson(3, 8))
    assert bounds["macro"] == pytest.approx(macro_interval([1, 1, 1], [4, 2, 1]))


def test_summary_names_missing_levels_and_keeps_the_parts_apart():
    both = pl.concat([outputs(), outputs("ood", [4, 4], [True, True])])
    summary = summarise(accuracy_table(both, ["contains", "word"]))
    assert summary["macro"] == pytest.approx(175 / 3)
    assert summary["missing_levels"] == ["2", "4"]
    assert summary["without_level"] == 1
    assert summary["by_level"]["0"].keys() == {"accuracy", "low", "high", "n"}
    assert summary["by_level"]["0"]["n"] == 4
    assert (summary["ood"]["macro"], summary["ood"]["micro"], summary["ood"]["n"]) == (100, 100, 2)
    assert summary["word"]["macro"] == pytest.approx((0 + 50 + 100) / 3)
    assert summary["word"]["ood_macro"] == 50
    assert "train" not in summary


def test_without_levels_there_is_micro_but_no_macro_and_a_note():
    summary = summarise(accuracy_table(outputs(level=[None] * 8), ["contains", "word"]))
    assert summary["macro"] is None
    assert summary["macro_low"] is None
    assert summary["micro"] == 37.5
    assert "no memory level" in summary["note"]
    assert summary["word"] == {"macro": None, "micro": 25.0}


def test_facts_of_one_level_give_its_accuracy_as_macro():
    summary = summarise(accuracy_table(outputs(level=[2] * 8), ["contains", "word"]))
    assert summary["macro"] == summary["micro"] == summary["by_level"]["2"]["accuracy"] == 37.5
