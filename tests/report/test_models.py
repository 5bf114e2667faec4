"""The chapter on models beside each other: levels and gains by hand, two ways to train, and what cannot be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers_grid import Hits, write_grid
from recollect.report import Results, make_results, render
from recollect.report.chapters.models.record import ModelsFound, collect
from recollect.report.page.chapter import Source
from recollect.report.scores.parts import parts_of

LEVELS = [0, 0, 1, 2, 3, 4, 0, 1] * 4
CELLS: Hits = {
    (choice, size): (4 + at + 4 * (size == 48), 6 + at + 4 * (size == 48))
    for size in (16, 48)
    for at, choice in enumerate(("0", "2", "4", "random"))
}
ALIKE = {cell: tuple(hit + 1 for hit in hits) for cell, hits in CELLS.items()}


def found(folder: Path, models: dict[str, Any], **how: Any) -> ModelsFound | None:
    made = collect(Source(write_grid(folder, models, **how), "grid"))
    return made if made is None else ModelsFound.model_validate(made)


def page(models: ModelsFound) -> str:
    frame = {"title": "Two models", "created": "2026-01-01", "version": "0"}
    results = make_results({**frame, "chapters": {"models": models.model_dump(mode="json")}})
    assert isinstance(results, Results) and results.of(ModelsFound) == models
    return render(results)


def test_levels_and_gains_by_hand(tmp_path: Path) -> None:
    models = found(tmp_path, {"/some/where/a": (LEVELS, 3, CELLS), "b": ([0] * 32, 2, ALIKE)})
    assert models is not None
    (one,) = models.sets
    assert one.levels is not None and [shares.name for shares in one.levels.models] == ["a", "b"]
    assert one.levels.pairs[0].first_alone.value == pytest.approx(0.9 * 20 / 32)  # b knows each fact with 0.1
    (reaction,) = one.reactions
    assert (reaction.first, reaction.second, reaction.mean) == ("a", "b", "micro")
    cell = next(cell for cell in reaction.cells if (cell.levels, cell.size) == ("2", 16))
    assert cell.first == pytest.approx([(5 - 3) / 20, (7 - 3) / 20])
    assert cell.second == pytest.approx([(6 - 2) / 20, (8 - 2) / 20])
    assert reaction.over_all.value == pytest.approx(1) and reaction.over_all.cells == 8
    assert reaction.over_all.interval is not None and reaction.over_all.interval.low > 0
    assert reaction.inside is not None and reaction.inside.value == pytest.approx(1)
    html = page(models)
    for text in (
        "Model against model",
        "a against b",
        "the models rank the cells alike",
        "For b the probe gives each fact a probability of each level",
    ):
        assert text in html
    assert "/some/where" not in html


@pytest.mark.parametrize("methods", [("full",), ("full", "lora")])
def test_a_model_is_called_as_the_grids_file_calls_it(tmp_path: Path, methods: tuple[str, ...]) -> None:
    made = {"pocket": (LEVELS, 3, CELLS), "runs/tuned": ([0] * 32, 2, ALIKE)}
    models = found(tmp_path, made, methods=methods, called={"runs/tuned": "sixty"})
    assert models is not None and models.sets[0].levels is not None
    assert [shares.name for shares in models.sets[0].levels.models] == ["pocket", "sixty"]
    assert {one.second for one in models.sets[0].reactions} == {"sixty"}
    html = page(models)
    assert "pocket against sixty" in html and "tuned" not in html.replace("untouched", "").replace("fine-tuned", "")
    named = [part.model_said for part in parts_of(Source(tmp_path, "grid"))]
    assert named == ["pocket"] * len(methods) + ["sixty"] * len(methods)


def test_a_model_trained_in_two_ways_is_one_model(tmp_path: Path) -> None:
    models = found(tmp_path, {"a": (LEVELS, 3, CELLS), "b": (LEVELS, 2, ALIKE)}, methods=("full", "lora"))
    assert models is not None
    (one,) = models.sets
    assert one.levels is not None and len(one.levels.models) == 2 and len(one.levels.pairs) == 1
    assert [reaction.method for reaction in one.reactions] == ["full", "lora"]
    html = page(models)
    assert "a and b, all parameters" in html and "a and b, LoRA" in html


def test_few_cells_are_told_once(tmp_path: Path) -> None:
    few, alike = ({cell: hits for cell, hits in of.items() if cell[0] in "02"} for of in (CELLS, ALIKE))
    models = found(tmp_path, {"a": (LEVELS, 3, few), "b": (LEVELS, 2, alike)})
    assert models is not None and models.sets[0].reactions[0].inside is not None
    html = page(models)
    assert html.count("are too few") == 1 and "Inside a size" not in html
    assert "no further apart than two probes of one model" in page(models)


def test_with_one_training_each_it_cannot_tell(tmp_path: Path) -> None:
    once = {cell: hits[:1] for cell, hits in CELLS.items()}
    models = found(tmp_path, {"a": (LEVELS, 3, once), "b": (LEVELS, 2, once)})
    assert models is not None
    assert models.sets[0].reactions[0].over_all.interval is None
    html = page(models)
    assert "cannot tell how alike they are" in html and "one training per cell" in html


def test_one_model_or_a_study_has_no_such_chapter(tmp_path: Path) -> None:
    assert found(tmp_path / "one", {"a": (LEVELS, 3, CELLS)}, methods=("full", "lora")) is None
    assert collect(Source(tmp_path, "study")) is None


def test_models_without_cells_in_common_are_compared_by_their_levels_alone(tmp_path: Path) -> None:
    models = found(tmp_path, {"a": (LEVELS, 3, {("0", 16): (4, 5)}), "b": (LEVELS, 2, {("4", 16): (4, 5)})})
    assert models is not None and models.sets[0].levels is not None and not models.sets[0].reactions
    page(models)
