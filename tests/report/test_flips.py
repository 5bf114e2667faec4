"""The chapter on flips: read from a study's steps, counted by hand, drawn with the prompt's bar beside."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers_compare import QUESTIONS, maker
from helpers_flips import invented as invented_flips
from recollect.report import make_results, read_results, render, write_report
from recollect.report.chapters.flips.charts import flip_groups, flips_chart
from recollect.report.chapters.flips.record import FlipsFound, collect
from recollect.report.page.chapter import Source

BASE = [1, 1, 0, 0, 0, 1, 0, 0]
FIRST = [1, 0, 1, 1, 0, 0, 1, 1]
"""Lost: Norway (test), Emma (ood). Gained: Peru, Japan (test), Dracula, Ulysses (ood)."""
SECOND = [1, 0, 0, 0, 0, 1, 1, 0]
"""Lost: Norway. Gained: Dracula."""


def study(folder: Path, *, shots: bool = True) -> Source:
    make = maker(folder / "steps")
    make("base", BASE, model="base")
    if shots:
        make("base-few-shot", [1, 1, 1, 0, 0, 1, 0, 0], model="base", shots=4)
    make("evaluate-2-60-seed0", FIRST)
    make("evaluate-2-60-seed1", SECOND)
    return Source(folder, "study")


def test_flips_of_a_study_are_counted_by_hand_for_each_part_and_model(tmp_path: Path) -> None:
    found = collect(study(tmp_path))
    assert found is not None
    assert found.models == 2
    counts = {
        (row.part, row.levels, row.size, row.seed): (
            row.flips.n, row.flips.right_to_wrong.count, row.flips.wrong_to_right.count
        )
        for row in found.rows
    }  # fmt: skip
    assert counts == {
        ("test", None, 4, None): (5, 0, 1),
        ("ood", None, 4, None): (3, 0, 0),
        ("test", "2", 60, 0): (5, 1, 2),
        ("ood", "2", 60, 0): (3, 1, 2),
        ("test", "2", 60, 1): (5, 1, 0),
        ("ood", "2", 60, 1): (3, 0, 1),
    }
    assert [(one.question, one.flipped) for one in found.lost] == [(QUESTIONS[1][0], 2), (QUESTIONS[5][0], 1)]
    assert (found.gained[0].question, found.gained[0].flipped) == (QUESTIONS[6][0], 2)
    assert found.lost[0].accepted == ["Oslo"]
    assert (found.lost[0].base_answer, found.lost[0].tuned_answer) == (" Oslo.", " no 1")
    assert FlipsFound.model_validate_json(found.model_dump_json()) == found


def test_without_a_prompt_without_cells_and_on_other_questions(tmp_path: Path) -> None:
    alone = collect(study(tmp_path / "a", shots=False))
    assert alone is not None and all(row.levels for row in alone.rows)
    assert collect(Source(tmp_path / "a", "curve")) is None
    other = study(tmp_path / "b")
    maker(tmp_path / "b" / "steps")("evaluate-random-60-seed0", [1], questions=[("Who?", "Ada", (), "test", "qa")])
    assert collect(other) is None


def test_a_training_choice_is_one_bar_over_its_seeds_and_the_prompt_comes_first() -> None:
    groups = flip_groups(invented_flips().rows, "test")
    assert [group.name for group in groups[:3]] == ["no training, 4 in the prompt", "level 0", "level 1"]
    assert [len(group.rows) for group in groups] == [1, *[2] * 21]
    assert [group.size for group in groups[1:]] == sorted(group.size for group in groups[1:])


@pytest.mark.parametrize("chance", [0.0, 0.1])
def test_the_page_shows_the_chapter(invented: SimpleNamespace, tmp_path: Path, chance: float) -> None:
    record = invented_flips(chance).model_dump(mode="json")
    results = make_results({"title": "x", "created": "2026-01-01", "version": "0", "chapters": {"flips": record}})
    html = render(results)
    assert "Which answers flipped" in html and "&lt;b&gt;others&lt;/b&gt;" in html
    assert "42 of 42" in html and "4 in the prompt" in html
    assert ("what two guesses would give" in html) == ("2510.17776" in html) == (chance > 0)
    assert read_results(write_report(results, tmp_path / "report").parent) == results


def test_a_bar_holds_what_was_counted() -> None:
    """The numbers beside the bars are the counted shares, whatever chance takes off them."""
    found = invented_flips(0.1)
    svg = flips_chart(found.rows)
    prompt = flip_groups(found.rows, "test")[0].rows[0].flips
    assert svg is not None
    for flip in (prompt.right_to_wrong, prompt.wrong_to_right):
        assert f">{100 * flip.count / prompt.n:.1f}<" in svg
    assert flips_chart([]) is None


def test_one_answer_to_many_questions_is_told_in_the_chapter(tmp_path: Path) -> None:
    questions = [(f"Where is {at}?", "Peru" if at else "USA", (), "test", "P17") for at in range(6)]
    make = maker(tmp_path / "steps")
    make("base", [0] * 6, model="base", questions=questions)
    make("evaluate-2-60-seed0", [1, *[0] * 5], questions=questions, outputs=[" USA"] * 6)
    found = collect(Source(tmp_path, "study"))
    assert found is not None and found.notes == [
        "60 examples of level 2, seed 0: the model gives 'USA' to 6 of 6 questions, the base to 0, and it is right "
        "for 1. Of the 5 with another answer, the base has 0 right and the model 0."
    ]
    record = invented_flips(notes=found.notes).model_dump(mode="json")
    results = make_results({"title": "x", "created": "2026-01-01", "version": "0", "chapters": {"flips": record}})
    assert "to 6 of 6 questions, the base to 0" in render(results)
