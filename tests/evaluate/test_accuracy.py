import polars as pl
import pytest

from recollect.core.estimates import clustered_macro, macro_mean, proportion
from recollect.evaluate import EvaluateFound, accuracies, accuracy_table
from recollect.extraction.values import PageScores

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
    test = accuracies(outputs(level=level, right=right))["test"]
    assert test.macro is not None
    assert (test.macro.value, test.macro.n, test.n) == (0.75, 22, 37)
    assert test.macro_levels == ("0", "1")
    assert test.left_out == ("3", "4")
    assert test.missing == ("2",)
    assert test.without_level == 5
    assert test.by_level["4"].n == 1


@pytest.mark.parametrize("least", [1, 4, 5, 13])
def test_the_minimum_decides_alone_who_enters(least):
    level = [0] * 4 + [1] * 5 + [2] * 12
    test = accuracies(outputs(level=level, right=[True] * 21), least)["test"]
    entered = tuple(str(name) for name, n in enumerate((4, 5, 12)) if n >= least)
    assert test.macro_levels == entered
    assert (test.macro.value if test.macro else None) == (1 if entered else None)
    assert test.micro.value == 1


def test_without_a_level_of_enough_facts_there_is_micro_and_a_note():
    test = accuracies(outputs())["test"]
    assert test.macro is None
    assert test.micro.value == 0.375
    assert test.left_out == ("0", "1", "3")
    assert "no memory level has enough facts" in (test.note or "")


@pytest.mark.parametrize("part", ["train", "ood", "test"])
def test_the_part_told_first_is_one_that_was_asked(part):
    found = EvaluateFound(accuracy=accuracies(outputs(part, [1] * 4, [True, False, True, False])))
    assert (found.part, list(found.accuracy)) == (part, [part])
    assert (found.accuracy[part].n, found.accuracy[part].micro.value, found.accuracy[part].word_micro) == (4, 0.5, 0.25)


def test_missing_levels_are_named_and_the_parts_kept_apart():
    both = pl.concat([outputs(), outputs("ood", [4, 4], [True, True])])
    found = EvaluateFound(accuracy=accuracies(both, least=1))
    test, ood = found.accuracy["test"], found.accuracy["ood"]
    assert found.part == "test" and set(found.accuracy) == {"test", "ood"}
    assert test.macro is not None and test.macro.value == pytest.approx(1.75 / 3)
    assert test.missing == ("2", "4")
    assert test.without_level == 1
    assert test.by_level["0"] == proportion(1, 4)
    assert ood.macro is not None and (ood.macro.value, ood.micro.value, ood.n) == (1, 1, 2)
    assert test.word_macro == pytest.approx((0 + 0.5 + 1) / 3)
    assert ood.word_macro == 0.5


def test_without_levels_there_is_micro_but_no_macro_and_a_note():
    test = accuracies(outputs(level=[None] * 8))["test"]
    assert test.macro is None
    assert test.micro.value == 0.375
    assert "no memory level" in (test.note or "")
    assert (test.word_macro, test.word_micro) == (None, 0.25)


def test_facts_of_one_level_give_its_accuracy_as_macro():
    test = accuracies(outputs(level=[2] * 8), least=8)["test"]
    assert test.macro is not None
    assert test.macro.value == test.micro.value == test.by_level["2"].value == 0.375


def test_what_was_found_reads_back():
    found = EvaluateFound(accuracy=accuracies(pl.concat([outputs(), outputs("train")]), least=2), notes=["a note"])
    assert EvaluateFound.model_validate(found.plain()) == found


def test_a_step_of_an_earlier_version_is_read():
    """Percentages, the first part's at the top and the others by name; before, every level entered the macro."""
    level = {"accuracy": 25.0, "low": 1.0, "high": 81.0, "n": 4}
    part = {"macro": 25.0, "macro_low": 1.0, "macro_high": 81.0, "micro": 20.0, "micro_low": 0.5, "micro_high": 72.0}
    part |= {"n": 5, "by_level": {"0": level}, "without_level": 1, "missing_levels": ["1", "2", "3", "4"]}
    word = {"macro": 20.0, "micro": 10.0, "ood_macro": None, "ood_micro": 50.0}
    ood = {**part, "macro": None, "macro_low": None, "macro_high": None, "macro_levels": [], "macro_n": 0}
    older = {"part": "test", **part, "ood": ood, "word": word, "notes": ["x"], "sources": {"model": "m"}}
    found = EvaluateFound.model_validate(older)
    test = found.accuracy["test"]
    assert test.macro is not None and test.macro.percent == (25, 1, 81)
    assert (test.macro.n, test.n, test.without_level, test.macro_levels) == (4, 5, 1, ("0",))
    assert (test.by_level["0"].low, test.missing, test.word_macro) == (0.01, ("1", "2", "3", "4"), 0.2)
    assert found.accuracy["ood"].macro is None and found.accuracy["ood"].left_out == ("0",)
    assert (found.accuracy["ood"].word_macro, found.accuracy["ood"].word_micro) == (None, 0.5)
    assert (found.notes, found.sources) == (["x"], {"model": "m"})
    flat = PageScores(n=3).in_percent() | {"macro": 50.0, "macro_low": 40.0, "macro_high": 60.0}
    pages = EvaluateFound.model_validate({**flat, "notes": ["x"]})
    assert pages.pages is not None and pages.notes == ["x"]
    macro = pages.pages.parts["test"].macro
    assert macro is not None and (macro.n, macro.percent) == (3, pytest.approx((50.0, 40.0, 60.0)))


def test_a_subject_that_repeats_is_one_however_many_questions_are_about_it():
    """Twenty subjects asked twice, always alike: the bounds are those of twenty questions, in all that is printed."""
    right = [number % 3 == 0 for number in range(20)]
    names = [f"thing {number}" for number in range(20) for _ in range(2)]
    table = outputs(level=[n % 2 for n in range(20) for _ in range(2)], right=[one for one in right for _ in range(2)])
    table = table.with_columns(pl.Series("f score", table["contains"].cast(pl.Float64)), f=pl.col("contains"))
    table = table.with_columns(pl.Series("fact_id", [f"f{n}" for n in range(40)]))
    alone = accuracies(table, 1, "f")["test"]
    found = accuracies(table.with_columns(pl.Series("subject", names)), 1, "f")["test"]
    forty = clustered_macro(table["f"].to_list(), names, table["level"].to_list())
    for one, wanted in (
        (found.micro, proportion(7, 20)),
        (found.score, proportion(7, 20)),
        (found.by_level["0"], proportion(sum(right[::2]), 10)),
        (found.by_level["1"], proportion(sum(right[1::2]), 10)),
        (found.macro, forty),
        (found.macro_score, forty),
    ):
        assert one is not None
        assert (one.value, one.low, one.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
    assert (found.n, found.macro_levels) == (40, ("0", "1"))
    unlike = pl.Series("subject", [f"thing {number}" for number in range(40)])
    assert accuracies(table.with_columns(unlike), 1, "f")["test"] == alone
    rows = accuracy_table(table.with_columns(pl.Series("subject", names)), ["f"], 1).rows_by_key("level", named=True)
    assert rows["micro"][0]["low"] == pytest.approx(100 * found.micro.low)
