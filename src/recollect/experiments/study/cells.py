"""What the parts of a study share: the settings of its steps, and one trained model with its results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recollect.drift import DriftResult, DriftSettings
from recollect.evaluate import EvaluateResult, EvaluateSettings
from recollect.experiments.study.settings import Choice
from recollect.probe import ProbeSettings
from recollect.restore import LadderResult, LadderSettings
from recollect.train import TrainSettings


@dataclass(frozen=True)
class StudyParts:
    """The settings of the steps of a study, checked before anything runs."""

    probe: ProbeSettings
    train: TrainSettings
    evaluate: EvaluateSettings
    drift: DriftSettings
    ladder: LadderSettings


@dataclass(frozen=True)
class TrainedCell:
    """One trained model of the study: its choice, and where its steps are."""

    levels: Choice
    size: int
    seed: int
    train: Path
    evaluation: EvaluateResult
    train_seconds: float
    drift: DriftResult | None = None
    ladder: LadderResult | None = None
