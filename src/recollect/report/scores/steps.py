"""The steps of a finished study: its folder `steps` holds the probe, the base's answers and those of each cell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from recollect.core.workspace import MANIFEST
from recollect.evaluate import Accuracy, EvaluateResult
from recollect.report.page.chapter import Source
from recollect.report.scores.record import CHOICES, LEVEL_NAMES, Choice, Scores

_EVALUATED = re.compile(rf"evaluate-({'|'.join(CHOICES)})-(\d+)-seed(-?\d+)")


@dataclass(frozen=True)
class CellSteps:
    """The steps of one trained model."""

    steps: Path
    levels: Choice
    size: int
    seed: int

    def step(self, kind: str) -> Path | None:
        """Its train, evaluate, drift or ladder step; None where it has none."""
        folder = self.steps / f"{kind}-{self.levels}-{self.size}-seed{self.seed}"
        return folder if (folder / MANIFEST).is_file() else None

    @property
    def evaluation(self) -> EvaluateResult:
        """Its answers."""
        return EvaluateResult(self.steps / f"evaluate-{self.levels}-{self.size}-seed{self.seed}")


def study_cells(source: Source) -> list[CellSteps]:
    """The trained models of a study that were evaluated, by seed, size and training choice; none of anything else."""
    steps = source.path / "steps"
    if source.step != "study" or not steps.is_dir():
        return []
    found = [match for folder in steps.iterdir() if (match := _EVALUATED.fullmatch(folder.name))]
    cells = [
        CellSteps(steps, choice, int(match[2]), int(match[3]))
        for match in found
        for choice in CHOICES
        if match[1] == choice
    ]
    cells = [cell for cell in cells if cell.step("evaluate")]
    return sorted(cells, key=lambda cell: (cell.seed, cell.size, CHOICES.index(cell.levels)))


def is_about_pages(source: Source) -> bool:
    """Whether a study asked about product pages, which are scored by attribute."""
    base = source.path / "steps" / "base"
    return (base / MANIFEST).is_file() and EvaluateResult(base).found.pages is not None


def scores(found: Accuracy | None) -> Scores | None:
    """The accuracy on one part as the report stores it; None where nothing was asked."""
    if found is None:
        return None
    return Scores(
        macro=found.macro,
        micro=found.micro,
        by_level={name: found.by_level[name] for name in LEVEL_NAMES if name in found.by_level},
        n=found.n,
        without_level=found.without_level,
        left_out=[name for name in LEVEL_NAMES if name in found.left_out],
        word_macro=found.word_macro,
    )
