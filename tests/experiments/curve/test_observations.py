"""Scores from items, and a user's own numbers; what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect.core.tables import BadRows
from recollect.errors import InputError
from recollect.evaluate import accuracy_table
from recollect.experiments.curve import Items, Observations, from_items, item_table, read_scores
from recollect.extraction.values import PageAnswer, judge, read_schema, score
from recollect.extraction.values import items as page_items

items = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=40)


@given(items)
def test_a_score_is_the_mean_over_groups_of_the_share_of_right_items(found: list[tuple[int, bool]]) -> None:
    group, right = np.asarray([g for g, _ in found]), np.asarray([[float(r) for _, r in found]])
    by_group = [np.mean([r for g, r in found if g == one]) for one in set(group.tolist())]
    score = Items(right, group, np.arange(len(found))).scores()
    assert score[0] == pytest.approx(np.mean(by_group))


@given(items, st.integers(0, 10**6))
def test_a_weight_of_two_is_the_item_twice(found: list[tuple[int, bool]], seed: int) -> None:
    weight = np.random.default_rng(seed).integers(0, 3, len(found))
    if not weight.any():
        return
    twice = [item for item, often in zip(found, weight, strict=True) for _ in range(often)]
    whole = Items(np.asarray([[float(r) for _, r in found]]), np.asarray([g for g, _ in found]), np.arange(len(found)))
    copied = Items(np.asarray([[float(r) for _, r in twice]]), np.asarray([g for g, _ in twice]), np.arange(len(twice)))
    assert whole.scores(weight[None].astype(float))[0, 0] == pytest.approx(copied.scores()[0])


def outputs(facts: int = 240, levels: bool = True) -> pl.DataFrame:
    """Two thirds test, one third ood; every seventh fact has no level, and level 4 is five times rarer than others."""
    level = [None if n % 7 == 0 or not levels else 4 if n % 25 == 4 else min(n % 5, 3) for n in range(facts)]
    return pl.DataFrame(
        {
            "fact_id": [f"f{n}" for n in range(facts)],
            "part": ["test"] * (facts - facts // 3) + ["ood"] * (facts // 3),
            "level": pl.Series(level, dtype=pl.Int64),
            "contains": np.random.default_rng(0).random(facts) < 0.5,
        }
    )


@pytest.mark.parametrize(
    ("facts", "levels", "mean"), [(240, True, "macro"), (240, False, "micro"), (36, True, "micro")]
)
@pytest.mark.parametrize("part", ["test", "ood"])
def test_facts_score_as_the_evaluation_says(tmp_path: Path, facts: int, levels: bool, mean: str, part: str) -> None:
    table = outputs(facts, levels)
    table.write_parquet(tmp_path / "outputs.parquet")
    runs = from_items({(0, 0): item_table(tmp_path)}, part)
    expected = accuracy_table(table, ["contains"]).filter(part=part)
    assert runs is not None and runs.items is not None
    assert expected["level"].to_list().count("macro") == (mean == "macro")
    assert runs.score[0] == pytest.approx(expected.filter(level=mean)["accuracy"].item())
    assert len(runs.items.group) == expected.filter(level=mean)["n"].item()


def test_levels_with_few_facts_are_named_and_left_out(tmp_path: Path) -> None:
    outputs().write_parquet(tmp_path / "outputs.parquet")
    few = from_items({(0, 0): item_table(tmp_path)}, "test")
    all_five = from_items({(0, 0): item_table(tmp_path)}, "test", least=1)
    assert few is not None and few.items is not None and all_five is not None and all_five.items is not None
    assert (len(set(few.items.group)), len(set(all_five.items.group))) == (4, 5)
    assert few.notes == ("In-domain, memory levels with fewer than 10 facts are left out of the score: 4 (n = 6).",)
    assert all_five.notes == ()
    outputs(36).write_parquet(tmp_path / "outputs.parquet")
    pooled = from_items({(0, 0): item_table(tmp_path)}, "test")
    assert pooled is not None and "no memory level has 10 facts" in pooled.notes[0]


def test_stored_items_go_before_outputs(tmp_path: Path) -> None:
    outputs().write_parquet(tmp_path / "outputs.parquet")
    rows = [("p1/price", "p1", "price", True, "test"), ("p1/brand", "p1", "brand", False, "test")]
    pl.DataFrame(rows, schema=["item", "unit", "group", "right", "part"], orient="row").write_parquet(
        tmp_path / "items.parquet"
    )
    runs = from_items({(0, 0): item_table(tmp_path)}, "test")
    assert runs is not None and runs.items is not None
    assert runs.score.tolist() == [50.0]
    assert runs.items.unit.tolist() == [0, 0]
    assert from_items({(0, 0): item_table(tmp_path)}, "ood") is None


def page_values() -> pl.DataFrame:
    """Six pages judged: right and wrong values, gaps, a value where none is true, an attribute without any truth."""
    answers = [
        PageAnswer(
            f"a{n}",
            f"p{n}",
            {"brand": [f"B{n}"], **({"price": [f"{n}.50"]} if n % 2 else {})},
            {"brand": f"B{n if n < 3 else 0}", "price": f"{n}.50"} | ({"rating": "4"} if n == 2 else {}),
        )
        for n in range(6)
    ] + [PageAnswer("b", "p9", {"brand": ["Z"], "price": ["9"]}, None)]
    return judge(read_schema("product"), answers)


def test_f1_and_accuracy_of_pages_are_the_scorers(tmp_path: Path) -> None:
    values = page_values()
    values.write_parquet(tmp_path / "values.parquet")
    page_items(values).write_parquet(tmp_path / "items.parquet")
    scores = score(values, read_schema("product"))
    f1, accuracy = (from_items({(0, 0): item_table(tmp_path, metric)}, "test") for metric in ("f1", "accuracy"))
    assert f1 is not None and accuracy is not None
    assert scores.macro is not None and scores.macro_f1 is not None
    assert f1.score[0] == pytest.approx(100 * scores.macro_f1)
    assert accuracy.score[0] == pytest.approx(100 * scores.macro.value)
    assert 0 < scores.macro_f1 != scores.macro.value
    alone = from_items({(0, 0): item_table(tmp_path, "f1")}, "test", "price")
    assert alone is not None and alone.score[0] == pytest.approx(100 * scores.by_attribute["price"].f1.value)


def test_whole_words_and_single_levels_can_be_scored(tmp_path: Path) -> None:
    table = outputs().with_columns(word=pl.col("contains") & (pl.int_range(pl.len()) % 3 > 0))
    table.write_parquet(tmp_path / "outputs.parquet")
    expected = accuracy_table(table, ["contains", "word"]).filter(part="test")
    word = from_items({(0, 0): item_table(tmp_path, "word")}, "test")
    level = from_items({(0, 0): item_table(tmp_path)}, "test", "4")
    assert word is not None and level is not None
    assert word.score[0] == pytest.approx(expected.filter(level="macro", matcher="word")["accuracy"].item())
    assert level.score[0] == pytest.approx(expected.filter(level="4", matcher="contains")["accuracy"].item())
    assert from_items({(0, 0): item_table(tmp_path)}, "test", "9") is None


def test_a_metric_of_the_other_task_is_refused(tmp_path: Path) -> None:
    outputs().write_parquet(tmp_path / "outputs.parquet")
    with pytest.raises(InputError, match="f1 is for pages"):
        item_table(tmp_path, "f1")
    page_items(page_values()).write_parquet(tmp_path / "items.parquet")
    with pytest.raises(InputError, match="word is for facts"):
        item_table(tmp_path, "word")


def test_runs_on_other_items_are_refused(tmp_path: Path) -> None:
    outputs().write_parquet(tmp_path / "outputs.parquet")
    table = item_table(tmp_path)
    with pytest.raises(InputError, match="same items, but .*size 15, seed 0"):
        from_items({(0, 0): table, (15, 0): table[2:]}, "test")


@pytest.mark.parametrize(
    ("size", "seed", "score", "message"),
    [
        ([0, 1], [0], [1.0, 2.0], "equally long"),
        ([-1, 1], [0, 0], [1.0, 2.0], "0 or more"),
        ([1, 1], [0, 0], [1.0, 2.0], "stands twice"),
        ([1, 2], [0, 0], [1.0, float("nan")], "finite"),
    ],
)
def test_impossible_runs_are_refused(size: list[int], seed: list[int], score: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Observations.of(size, seed, score)


def test_shares_become_points_and_losses_are_turned(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("size,seed,score,part\n0,0,0.25,test\n15,0,0.5,test\n15,0,0.125,ood\n")
    found = read_scores(file)
    assert {part: runs.score.tolist() for part, runs in found.items()} == {"test": [25.0, 50.0], "ood": [12.5]}
    assert found["test"].limits == (0, 100)
    assert read_scores(file, lower_is_better=True)["test"].score.tolist() == [-0.25, -0.5]
    assert read_scores(file, unit="points")["test"].score.tolist() == [0.25, 0.5]
    file.write_text("size,seed,score\n0,0,25\n15,0,0.5\n")
    with pytest.raises(InputError, match=r"seems to mix shares and points: it has scores such as 0\.5 and 25"):
        read_scores(file)
    assert read_scores(file, unit="points")["test"].score.tolist() == [25.0, 0.5]
    assert read_scores(file, unit="points")["test"].limits == (-np.inf, np.inf)


@pytest.mark.parametrize(
    "scores",
    [
        [0.21, 0.55, 0.9, 0.32, 0.57, 91],
        [12.5, 40, 0.61, 13, 41, 62],
        [0, 0.5, 1.5, 0, 0.25, 1],
        [0.999, 99.9, 99.8, 0.998, 99.7, 99.9],
    ],
)
def test_shares_and_points_in_one_file_are_refused(tmp_path: Path, scores: list[float]) -> None:
    file = tmp_path / "scores.csv"
    rows = [(n, seed) for seed in (0, 1) for n in (10, 40, 90)]
    file.write_text("size,seed,score\n" + "".join(f"{n},{s},{x}\n" for (n, s), x in zip(rows, scores, strict=True)))
    with pytest.raises(InputError, match=r"mix shares and points.*--unit points"):
        read_scores(file)
    assert read_scores(file, unit="points")["test"].score.sum() == pytest.approx(sum(scores))
    with pytest.raises(InputError, match="every score must lie in 0 to 1"):
        read_scores(file, unit="shares")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0, 1, 45], [0, 1, 45]),  # whole numbers are points
        ([-3.2, 0.4, 2.1], [-3.2, 0.4, 2.1]),  # a score below 0 has a unit of its own
        ([0.5, 2, 250], [0.5, 2, 250]),  # and one above 100
        ([0, 1, 1], [0, 100, 100]),
    ],
)
def test_scores_of_one_unit_are_read(tmp_path: Path, scores: list[float], expected: list[float]) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("size,seed,score\n" + "".join(f"{10 * n},0,{x}\n" for n, x in enumerate(scores)))
    assert read_scores(file)["test"].score.tolist() == expected


@pytest.mark.parametrize("empty", ["", '""', "  ", '"  "'])
def test_rows_without_a_part_are_refused(tmp_path: Path, empty: str) -> None:
    file = tmp_path / "scores.csv"
    file.write_text(f"size,seed,score,part\n0,0,0.2,test\n15,0,0.4,test\n0,0,0.3,{empty}\n15,0,0.5,ood\n")
    with pytest.raises(InputError, match=r"part in every row.*1 of 4 rows have none \(first: row 3\)"):
        read_scores(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("size,seed,score\n", "at least one row"),
        ("size,seed\n1,2\n", "score is missing"),
        ("size,seed,score\n1,2,\n", "every row"),
        ("size,seed,score\n1,2,high\n", "score a number"),
        ("size,seed,score\nmany,2,1\n", "whole numbers"),
        ("size,seed,score\n1,2,nan\n", "finite"),
    ],
)
def test_a_broken_file_of_scores_is_refused_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "scores.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_scores(file)


def test_a_file_that_is_not_text_or_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    with pytest.raises(InputError, match="no such file"):
        read_scores(file)
    file.write_bytes(b"\xff\xfe\x00\x01" * 40)
    with pytest.raises(InputError):
        read_scores(file)


def test_scores_are_read_from_every_kind_of_table_and_bad_rows_named_or_skipped(tmp_path: Path) -> None:
    tables = {
        "semicolon.csv": "size;seed;score\n0;0;20\n15.0;1;30.5\n",
        "tab.csv": "size\tseed\tscore\n0\t0\t20\n\n15\t1\t30.5\n",
        "t.jsonl": '{"size": 0, "seed": 0, "score": 20}\n{"size": 15, "seed": 1, "score": 30.5}\n',
    }
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
        found = read_scores(tmp_path / name)["test"]
        assert (found.size.tolist(), found.score.tolist()) == ([0, 15], [20.0, 30.5])
    file = tmp_path / "bad.csv"
    file.write_text("size,seed,score\n0,0,20\n15,x,30\n60,0,nan\n240,0,1_0\n1000,0,40\n")
    with pytest.raises(InputError, match="line 3: size and seed must be whole numbers .* but seed is 'x'"):
        read_scores(file)
    bad = BadRows("skip")
    assert read_scores(file, bad=bad)["test"].size.tolist() == [0, 1000]
    reasons = {"score is no number": 1, "score is not finite": 1, "seed is no number": 1}
    assert bad.account().reasons == reasons
    assert bad.lines("bad.csv")[0].startswith("3 bad rows of bad.csv were skipped")
