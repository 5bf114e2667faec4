import polars as pl
import pytest

from recollect.core.estimates import macro_mean, proportion
from recollect.evaluate import accuracy_table, summarise

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
    table = accuracy_table(outputs(), ["contains"], least=1)
    found = {row["level"]: (row["n"], row["right"], row["accuracy"]) for row in table.iter_rows(named=True)}
    assert found["0"] == (4, 1, 25.0)
    assert found["1"] == (2, 1, 50.0)
    assert found["3"] == (1, 1, 100.0)
    assert found["macro"] == (7, 3, pytest.approx((25 + 50 + 100) / 3))
    assert found["micro"] == (8, 3, pytest.approx(37.5))
    assert set(found) == {"0", "1", "3", "macro", "micro"}


def test_bounds_are_those_of_the_statistics():
    table = accuracy_table(outputs(), ["contains"], least=1)
    found = {row["level"]: (row["accuracy"], row["low"], row["high"]) for row in table.iter_rows(named=True)}
    assert found["0"] == proportion(1, 4).percent
    assert found["micro"] == proportion(3, 8).percent
    assert found["macro"] == macro_mean([1, 1, 1], [4, 2, 1]).percent


def test_a_level_with_too_few_facts_is_shown_and_does_not_enter_the_macro():
    level = [0] * 10 + [1] * 12 + [3] * 9 + [4] + [None] * 5
    right = [True] * 5 + [False] * 5 + [True] * 12 + [False] * 10 + [True] * 5
    table = accuracy_table(outputs(level=level, right=right), ["contains", "word"])
    rows = {row["level"]: row for row in table.filter(pl.col("matcher") == "contains").iter_rows(named=True)}
    assert {name: row["in_macro"] for name, row in rows.items()} == {
        "0": True,
        "1": True,
        "3": False,
        "4": False,
        "macro": None,
        "micro": None,
    }
    assert (rows["macro"]["accuracy"], rows["macro"]["n"], rows["macro"]["right"]) == (75, 22, 17)
    summary = summarise(table)
    assert (summary["macro"], summary["macro_n"], summary["n"]) == (75, 22, 37)
    assert summary["macro_levels"] == ["0", "1"]
    assert summary["levels_left_out"] == ["3", "4"]
    assert summary["missing_levels"] == ["2"]
    assert summary["without_level"] == 5
    assert summary["by_level"]["4"]["n"] == 1


@pytest.mark.parametrize("least", [1, 4, 5, 13])
def test_the_minimum_decides_alone_who_enters(least):
    level = [0] * 4 + [1] * 5 + [2] * 12
    summary = summarise(accuracy_table(outputs(level=level, right=[True] * 21), ["contains", "word"], least))
    entered = [str(name) for name, n in enumerate((4, 5, 12)) if n >= least]
    assert summary["macro_levels"] == entered
    assert summary["macro"] == (100 if entered else None)
    assert summary["micro"] == 100


def test_without_a_level_of_enough_facts_there_is_micro_and_a_note():
    summary = summarise(accuracy_table(outputs(), ["contains", "word"]))
    assert (summary["macro"], summary["macro_low"], summary["macro_n"]) == (None, None, 0)
    assert summary["micro"] == 37.5
    assert summary["levels_left_out"] == ["0", "1", "3"]
    assert "no memory level has enough facts" in summary["note"]


@pytest.mark.parametrize("part", ["train", "ood", "test"])
def test_the_part_at_the_top_is_one_that_was_asked(part):
    summary = summarise(accuracy_table(outputs(part, [1] * 4, [True, False, True, False]), ["contains", "word"]))
    assert (summary["part"], summary["n"], summary["micro"]) == (part, 4, 50)
    assert summary["word"]["micro"] == 25
    if part != "test":
        assert summary[part]["micro"] == 50


def test_a_table_of_an_earlier_version_is_still_summarised():
    table = accuracy_table(outputs(), ["contains", "word"], least=1)
    assert summarise(table.drop("in_macro")) == summarise(table)


def test_summary_names_missing_levels_and_keeps_the_parts_apart():
    both = pl.concat([outputs(), outputs("ood", [4, 4], [True, True])])
    summary = summarise(accuracy_table(both, ["contains", "word"], least=1))
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
    summary = summarise(accuracy_table(outputs(level=[2] * 8), ["contains", "word"], least=8))
    assert summary["macro"] == summary["micro"] == summary["by_level"]["2"]["accuracy"] == 37.5
