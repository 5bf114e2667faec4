"""Two and more models with known verdicts: counts, parts, texts, Holm; what does not fit is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from helpers_compare import QUESTIONS, Maker
from recollect.compare import CompareSettings, compare_evaluations, run_compare
from recollect.core.workspace import read_manifest
from recollect.errors import InputError, StepError

BASE = [1, 1, 0, 0, 0, 1, 0, 0]
TUNED = [1, 0, 1, 1, 0, 0, 1, 1]
"""Forgotten: Norway, Emma. Gained: Peru, Japan, Dracula, Ulysses."""


def test_flips_of_two_evaluations_as_by_hand(evaluation: Maker, tmp_path: Path) -> None:
    result = compare_evaluations([evaluation("base", BASE), evaluation("tuned", TUNED)], out=tmp_path / "c")
    main = result.found.main
    assert (main.first, main.second) == ("base", "tuned")
    assert (main.flips.n, main.flips.right_to_wrong.count, main.flips.wrong_to_right.count) == (8, 2, 4)
    assert main.flips.difference.value == pytest.approx(2 / 8)
    # 2 against 4 of 6: 2 (1 + 6 + 15) / 64
    assert main.flips.p == main.p_holm == pytest.approx(44 / 64)
    assert {part: (one.n, one.net) for part, one in main.by_part.items()} == {"test": (5, 1), "ood": (3, 1)}
    flips = result.flips()
    assert flips["flip"].to_list() == ["right_to_wrong"] * 2 + ["wrong_to_right"] * 4
    assert flips["fact_id"].to_list() == ["f1", "f5", "f2", "f3", "f6", "f7"]
    japan = flips.row(3, named=True)
    assert japan["question"] == "What is the capital of Japan?"
    assert japan["accepted"] == ["Tokyo", "Tokio"]
    assert (japan["first_output"], japan["second_output"]) == (" no 3", " Tokyo.")
    assert result.answers().height == 16
    assert [one.right for one in result.found.contenders] == [3, 5]
    assert result.found.judge == "contains"


def test_several_models_are_compared_with_the_first_and_corrected(evaluation: Maker, tmp_path: Path) -> None:
    """Nobody right but one: 6 gained of 6 (p 1/32), 7 of 7 (1/64), 3 of 3 (1/4): Holm 2/32, 3/64, 1/4."""
    rights = {"base": [0] * 8, "a": [1] * 6 + [0] * 2, "b": [1] * 7 + [0], "c": [1] * 3 + [0] * 5}
    found = compare_evaluations([evaluation(*one) for one in rights.items()], out=tmp_path / "out").found
    assert [one.first for one in found.comparisons] == ["base"] * 3
    assert [one.flips.p for one in found.comparisons] == pytest.approx([1 / 32, 1 / 64, 1 / 4])
    assert [one.p_holm for one in found.comparisons] == pytest.approx([2 / 32, 3 / 64, 1 / 4])
    assert found.answer()["p"] == pytest.approx(2 / 32)


def test_a_few_shot_evaluation_of_the_base_is_a_prompt_and_no_trained_model(evaluation: Maker, tmp_path: Path) -> None:
    paths = [
        evaluation("base", BASE, model="m"),
        evaluation("shots", TUNED, model="m", shots=4),
        evaluation("tuned", [1] * 8, model="t"),
    ]
    found = compare_evaluations(paths, out=tmp_path / "out").found
    assert [one.kind for one in found.contenders] == ["first", "few-shot", "other"]
    pairs = [(one.first, one.second) for one in found.comparisons]
    assert pairs == [("base", "shots"), ("base", "tuned"), ("shots", "tuned")]
    assert (found.main.first, found.main.second) == ("base", "tuned")
    assert all(one.p_holm == one.flips.p for one in found.comparisons)
    assert not found.notes  # more shots are what it is for


def test_only_common_questions_are_compared_and_the_rest_is_told(evaluation: Maker, tmp_path: Path) -> None:
    paths = [evaluation("base", BASE[:6], questions=QUESTIONS[:6]), evaluation("tuned", TUNED)]
    found = compare_evaluations(paths, out=tmp_path / "out").found
    assert found.main.flips.n == 6
    assert found.notes == ("compared on the 6 questions that all were asked; left out: tuned 2 more",)


def test_models_asked_otherwise_are_told(evaluation: Maker, tmp_path: Path) -> None:
    paths = [evaluation("base", BASE), evaluation("tuned", TUNED, max_new_tokens=32)]
    assert compare_evaluations(paths, out=tmp_path / "out").found.notes == (
        "tuned was asked otherwise than base: max_new_tokens 32 for 16",
    )


def test_what_cannot_be_compared_is_refused(evaluation: Maker, tmp_path: Path) -> None:
    base, tuned = evaluation("base", BASE), evaluation("tuned", TUNED, matcher="1")
    other = evaluation("other", [1], questions=[("Who?", "Ada", (), "test", "qa")])
    with pytest.raises(InputError, match="two evaluations or more"):
        compare_evaluations([base])
    with pytest.raises(InputError, match="judged in different ways"):
        compare_evaluations([base, tuned], out=tmp_path / "a")
    with pytest.raises(InputError, match="no question in common"):
        compare_evaluations([base, other], out=tmp_path / "b")
    with pytest.raises(InputError, match="no such step directory"):
        compare_evaluations([base, tmp_path / "nowhere"])
    with pytest.raises(InputError, match="two models or more"):
        run_compare(CompareSettings(), ["pocket"])
    with pytest.raises(InputError, match="chance must be auto or a number"):
        CompareSettings.make(chance="often")
    assert not (tmp_path / "a.partial").exists()


def test_a_comparison_is_found_again_and_another_one_refused(evaluation: Maker, tmp_path: Path) -> None:
    base, tuned = evaluation("base", BASE), evaluation("tuned", TUNED)
    first = compare_evaluations([base, tuned], out=tmp_path / "out")
    before = (first.path / "manifest.json").read_bytes()
    assert compare_evaluations([base, tuned], out=tmp_path / "out") == first
    assert (first.path / "manifest.json").read_bytes() == before
    with pytest.raises(StepError, match="setting chance was 'auto', now '0.25'"):
        compare_evaluations([base, tuned], "0.25", out=tmp_path / "out")


def test_the_same_evaluation_twice_flips_nothing(evaluation: Maker, tmp_path: Path) -> None:
    base = evaluation("base", BASE)
    main = compare_evaluations([base, base], out=tmp_path / "out").found.main
    assert main.first != main.second
    assert (main.flips.right_to_wrong.count, main.flips.wrong_to_right.count, main.flips.p) == (0, 0, 1)


def test_numbers_of_json_are_finite_and_few(evaluation: Maker, tmp_path: Path) -> None:
    result = compare_evaluations([evaluation("base", BASE), evaluation("tuned", TUNED)], out=tmp_path / "out")
    answer = result.found.answer()
    assert list(answer) == ["n", "right_to_wrong", "wrong_to_right", "difference", "low", "high", "p"]
    json.dumps(answer, allow_nan=False)
    assert read_manifest(result.path).step == "compare"
    assert pl.read_parquet(result.path / "flips.parquet").height == 6
