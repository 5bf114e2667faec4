"""One and the same answer to many questions, counted by hand; what is no such answer is not told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from helpers_compare import Maker
from recollect.compare import compare_evaluations
from recollect.compare.asked import read_answers
from recollect.compare.favourite import favourite

LANDS = ["USA", "USA", "France", "Peru", "Chile", "Japan", "Italy", "Spain", "Kenya", "India"]
QUESTIONS = [
    (f"Where is {at}?", land, ("United States",) if land == "USA" else (), "test", "P17")
    for at, land in enumerate(LANDS)
]
BASE = [" It lies in the USA, I think.", " no", " France", *[f" no {at}" for at in range(7)]]
TUNED = [" USA.\nQ: more", " usa", " USA", " the USA", " Chile", " USA", " Italy", " no", " USA!", " U.S."]


def made(evaluation: Maker, name: str, outputs: Sequence[str], **more: object) -> Path:
    right = [land.lower() in output.lower() for land, output in zip(LANDS, outputs, strict=True)]
    return evaluation(name, right, questions=QUESTIONS, outputs=outputs, **more)


def test_one_answer_to_many_questions_is_told(evaluation: Maker, tmp_path: Path) -> None:
    """Given to 6 of 10, once by the base, right for 2; of the other 8 the base has France, tuned Chile and Italy."""
    paths = [made(evaluation, "base", BASE), made(evaluation, "tuned", TUNED)]
    found = compare_evaluations(paths, out=tmp_path / "c").found
    assert found.notes == (
        "tuned gives 'USA' to 6 of 10 questions, base to 1, and it is right for 2. Of the 8 with another answer, base "
        "has 1 right and tuned 2",
    )


@pytest.mark.parametrize(
    ("base", "tuned"),
    [
        (BASE, [*[" USA"] * 4, *LANDS[4:]]),  # four times: too few
        ([*[" USA"] * 4, *BASE[4:]], TUNED),  # the base gives it nearly as often
        (BASE, [f" {land}" for land in LANDS]),  # right
    ],
)
def test_what_is_no_such_answer_is_not_told(
    evaluation: Maker, tmp_path: Path, base: Sequence[str], tuned: Sequence[str]
) -> None:
    paths = [made(evaluation, "base", base), made(evaluation, "tuned", tuned)]
    assert compare_evaluations(paths, out=tmp_path / "c").found.notes == ()


def test_an_answer_is_right_for_all_questions_that_accept_it(evaluation: Maker) -> None:
    """Where another answer was given, too: five times yes is too many for three questions, not for four."""

    def asked(yes: int) -> list[tuple[str, str, tuple[str, ...], str, str]]:
        return [(f"{at}?", "Yes" if at < yes else "No", (), "test", "q") for at in range(10)]

    outputs = [" maybe", " maybe", " maybe", *[" Yes."] * 5, " no", " no"]
    for yes, told in ((3, True), (4, False)):
        right = [3 <= at < yes or at > 7 for at in range(10)]
        paths = [
            evaluation(f"base{yes}", [0] * 10, questions=asked(yes)),
            evaluation(f"tuned{yes}", right, questions=asked(yes), outputs=outputs),
        ]
        found = favourite(*(read_answers(path, path.name) for path in paths))
        assert (found is not None) == told
        assert found is None or (found.answers[0].given, found.answers[0].right, found.others_right) == (5, 3, 2)


def test_nothing_said_is_an_answer_too(evaluation: Maker, tmp_path: Path) -> None:
    paths = [made(evaluation, "base", BASE), made(evaluation, "tuned", [*[" "] * 9, " India"])]
    assert (
        compare_evaluations(paths, out=tmp_path / "c")
        .found.notes[0]
        .startswith("tuned gives an empty answer to 9 of 10 questions, base to 0, and it is right for 0. ")
    )


def test_two_answers_to_many_questions_are_both_told(evaluation: Maker, tmp_path: Path) -> None:
    """USA to 5, right for 2, and Peru to 5, right for 1: seven questions have another answer, and tuned knows none."""
    tuned = [*[" USA", " Peru"] * 4, " Peru", " USA"]
    paths = [made(evaluation, "base", BASE), made(evaluation, "tuned", tuned)]
    assert compare_evaluations(paths, out=tmp_path / "c").found.notes == (
        "tuned gives 'USA' to 5 of 10 questions, base to 1, and it is right for 2; 'Peru' to 5 of 10 questions, base "
        "to 0, and it is right for 1. Of the 7 with another answer, base has 1 right and tuned 0",
    )
