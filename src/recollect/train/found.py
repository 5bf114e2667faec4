"""What a training did, and one that paused on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recollect.chat.asking import Written
from recollect.core.workspace.result import Result


class TrainFound(Result):
    """What a training did."""

    steps: int
    """Updates made."""
    examples: int
    answer_tokens: int
    """Tokens of the answers, the end tokens included: those that carry loss."""
    masked_tokens: int | None = None
    """The others; None in a folder of an earlier version."""
    conversations: int | None = None
    """Conversations that the examples are of; None for facts."""
    prompt: Written = "plain"
    """What the questions were asked in; plain in a folder of an earlier version."""
    first_loss: float | None = None
    last_loss: float | None = None
    trained_parameters: int
    learning_rate: float | None = None
    """The highest one, as given or chosen; None in a folder of an earlier version."""
    epochs: float | None = None
    """Passes over the examples, likewise."""
    weights_moved: float | None = None
    """Share of the weights that the training changed; None for an adapter."""
    weights_moved_as_stored: float | None = None
    """The same after rounding to the format they are stored in."""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    sources: dict[str, str] = {}
    """Where the model and the selection came from."""


@dataclass(frozen=True)
class TrainResult:
    """The step directory and what was found; the log is `log.parquet` in it."""

    path: Path
    found: TrainFound

    @property
    def model_folder(self) -> Path:
        """The trained model, or the adapter."""
        return self.path / "model"


@dataclass(frozen=True)
class PausedTraining:
    """A training that stopped on the way, with all it needs to resume; `run_train` with the same arguments finishes it.

    Kept are weights, optimizer, schedule, random states and the place in the data.

    Examples:
        `chosen` is the folder of a `run_select`.

        >>> from recollect import TrainSettings, run_train_until
        >>> paused = run_train_until(TrainSettings.make(preset="pocket", max_steps=2), chosen, share=0.5)
        >>> paused.step, paused.steps
        (1, 2)
    """

    path: Path
    """Where the step directory will be when it is finished."""
    model_folder: Path
    """The model, or the adapter, as it is now; it moves on with the training."""
    step: int
    """Updates made."""
    steps: int
    """Updates of the whole training, for which the schedule is sized."""
    log: tuple[dict[str, float], ...]
    """Loss and learning rate of every update so far."""


def pause_step(share: float, steps: int) -> int:
    """The update after which a run of `steps` updates pauses.

    Examples:
        >>> pause_step(0.2, 10), pause_step(0.01, 10)
        (2, 1)
    """
    return max(1, round(share * steps))
