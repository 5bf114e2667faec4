"""Settings of a data curve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from recollect.core.settings import Fixed, Name
from recollect.core.tables import BadRowsMode
from recollect.evaluate import EvaluateSettings
from recollect.experiments.curve.observations import Metric
from recollect.experiments.curve.scores_file import Unit
from recollect.experiments.executors import SHARED
from recollect.experiments.executors.settings import PlaceSettings
from recollect.select import LevelChoice
from recollect.shipped import POCKET
from recollect.train import TrainSettings

Size = Annotated[int, Field(ge=0)]


_OF_TRAININGS = ("sizes", "repeats", "level", "levels", "until", "most_trainings", "train", "evaluate", "keep_models")
"""What a file of scores has no use for."""


class CurveSettings(PlaceSettings):
    """How the score moves with the number of training examples, and whether there are enough of them.

    Examples:
        >>> from recollect import CurveSettings
        >>> CurveSettings.make(sizes=(15, 30, 60), repeats=2, margin=1.5).margin
        1.5
    """

    runtime_only: ClassVar[set[str]] = PlaceSettings.runtime_only | {
        *("model", "facts", "levels", "scores", "lower_is_better", "unit")
    }

    model: Name = POCKET
    """A folder, a Hugging Face name, "pocket" or "pocket-shop"."""
    facts: Name = POCKET
    """A facts or label step directory, a data file, "pocket" or "pocket-shop"."""
    levels: Path | None = None
    """The base model's probe step directory: splits the score by memory level, and is needed to select by level."""
    scores: Path | None = None
    """Judge the runs of this table (columns size, seed, score; part, if several) instead of training any: a .csv, .tsv,
    .jsonl, .json or .parquet file."""
    bad_rows: BadRowsMode = "error"
    """With scores, a row that cannot be used: error (the first one ends the step) or skip (left out and said)."""
    lower_is_better: bool = False
    """With scores: the numbers are a loss. They keep their unit, and the margin is in that unit."""
    unit: Unit = "auto"
    """With scores: shares (0 to 1, shown in points) or points (taken as they stand). auto: shares when all lie in 0 to
    1; a file that may mix both is refused."""
    sizes: tuple[Size, ...] | None = None
    """Training set sizes; 0 is the untouched base. Default: 0, 15, 60, 250, 1000, 4000, ... up to what
    there is, and half of the largest, so that its last doubling is measured."""
    repeats: Annotated[int, Field(ge=1)] = 3
    """Seeds at each size, from the first one up; each draws its own training set and trains anew on it. With one there
    is no verdict: how far two trainings lie apart is not known."""
    seed: int = 0
    """First seed of the training sets and trainings."""
    level: LevelChoice = "random"
    """What to train on: "random", "mixed", or memory levels such as "2" or "2,3"."""
    metric: Metric = "accuracy"
    """accuracy: the right answer is contained, or a page's true value is given. word: contained as whole words (facts
    only). f1: of right values among those true and those given (pages only)."""
    group: str | None = None
    """Score this memory level or page attribute alone, such as 4 or price; else the mean over all of them."""
    margin: Annotated[float, Field(gt=0)] = 2.0
    """Gains up to this many points do not count: the curve is saturated where no larger size brings more."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    """How sure a verdict must be (each one-sided bound behind it), and the coverage of the intervals."""
    until: Literal["grid", "decided"] = "grid"
    """grid: run the sizes and judge. decided: also run the sizes the verdict asks for, until it is decided."""
    most_trainings: Annotated[int, Field(ge=1)] = 60
    """Stop adding sizes before there are more trainings than this."""
    train: Annotated[TrainSettings, Fixed("model", "seed")] = TrainSettings()
    """Settings of `recollect train`, except model and seed; on the command line as "{learning_rate: 0.001}". Without a
    preset: a pocket model's own; for any other, rate and epochs follow its width and the number of examples."""
    evaluate: Annotated[EvaluateSettings, Fixed("model", "facts", "levels", "data")] = EvaluateSettings()
    """Settings of `recollect evaluate`, except model, facts and levels."""
    keep_models: bool = False
    """Keep the weights of every trained model; off, only their answers and scores are kept."""

    @field_validator("sizes", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [item.strip() for item in value.split(",") if item.strip()]
        return [value] if isinstance(value, int) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.executor in SHARED:
            raise ValueError("executor must be here, processes or ray for a curve; workers share a study")
        if self.sizes is not None and len(set(self.sizes)) < max(3, len(self.sizes)):
            raise ValueError("sizes must be at least three different ones, none given twice")
        if self.scores is None and self.level != "random" and self.levels is None:
            raise ValueError(f"levels must be given to select by level {self.level!r}: a probe step directory")
        if self.scores is not None and {"metric", "group"} & self.model_fields_set:
            raise ValueError("metric and group go with trained models; scores are taken as they stand in the file")
        if self.scores is not None and (unused := [name for name in _OF_TRAININGS if name in self.model_fields_set]):
            raise ValueError(f"{unused[0]} does not go with scores, all of which are judged; leave it out")
        if self.scores is None and self.bad_rows != "error":
            raise ValueError("bad_rows goes with scores")
        if self.scores is None and self.unit != "auto":
            raise ValueError("unit goes with scores; trained models are scored in points")
        if self.lower_is_better and self.unit == "shares":
            raise ValueError("unit must not be shares where lower is better: a loss keeps its own unit")
        if self.scores is None and self.lower_is_better:
            raise ValueError("lower_is_better goes with scores; trained models are scored in points")
        return self
