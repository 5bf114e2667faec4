"""A study in one file: which model and facts, how to probe, what to train on, how to train and evaluate."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from recollect.core.settings import Settings, read_section
from recollect.shipped import POCKET

Choice = Literal["0", "1", "2", "3", "4", "mixed", "random"]
CHOICES: tuple[Choice, ...] = ("0", "1", "2", "3", "4", "mixed", "random")
_HELD = {"facts", "levels", "revision", "tuned_revision", "trust_remote_code", "device", "dtype", "template_file"}


class StudySettings(Settings):
    """Probe a base, fine-tune it on every choice of examples at every size, evaluate each model, write one report."""

    title: str = "What does the base know, and which examples wake it?"
    """Title of the report."""
    model: str = POCKET
    """A folder, a Hugging Face name, or "pocket"."""
    facts: str = POCKET
    """A facts step directory, a data file, or "pocket"."""
    choices: tuple[Choice, ...] = ("0", "1", "2", "3", "4", "random")
    """What to train on: facts of one memory level (0 to 4), an even mix of the levels, or a random draw. Random
    at equal size is always trained, as the control."""
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = (15, 60, 150)
    """Training set sizes."""
    seed: int = 0
    """First seed of the training sets and trainings."""
    repeats: Annotated[int, Field(ge=1)] = 2
    """Seeds to run, from the first one up; each draws its own training sets and trains anew on them. With one
    the spread between trainings is unknown, so no difference between choices is stated."""
    too_few: Literal["skip", "error"] = "skip"
    """What to do where a choice has fewer facts than a size wants: leave that cell out and note it, or stop."""
    probe: dict[str, Any] = {}
    """Settings of `recollect probe`, except model and facts; on the command line as "{method: sampled, samples: 5}"."""
    train: dict[str, Any] = {}
    """Settings of `recollect train`, except model and seed. Without a preset: pocket for the pocket model, C for
    any other."""
    evaluate: dict[str, Any] = {}
    """Settings of `recollect evaluate`, except model, facts and levels."""
    measure_drift: bool = True
    """Compare each trained model with the base: next-token distributions, parameters, forgetting; see `drift`."""
    repair: tuple[Choice, ...] = ("random",)
    """Whose models of the largest size climb the restoration ladder, with all controls (see `recollect restore`);
    "none" for nobody's."""
    drift: dict[str, Any] = {}
    """Settings of `recollect drift`, except where models, facts and levels are."""
    ladder: dict[str, Any] = {}
    """Settings of `recollect restore --ladder`, likewise. A study writes no restored model."""
    keep_models: bool = False
    """Keep the weights of every trained model; off, only their answers and scores are kept."""

    @field_validator("choices", "sizes", "repair", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Accept "15,60" as the command line gives it, plain numbers in a YAML list of choices, and "none"."""
        if value in ("none", None):
            return []
        if isinstance(value, str):
            value = [item.strip() for item in value.split(",") if item.strip()]
        elif isinstance(value, int):
            value = [value]
        return [str(item) for item in value] if isinstance(value, list | tuple) else value

    @field_validator("probe", "train", "evaluate", "drift", "ladder", mode="before")
    @classmethod
    def _section(cls, value: Any) -> Any:
        """Accept a section as the command line gives it: "{learning_rate: 0.001}"."""
        return read_section(value)

    @field_validator("choices", "sizes")
    @classmethod
    def _distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must not be empty")
        if len(set(value)) < len(value):
            raise ValueError("must not repeat a value")
        return value

    @model_validator(mode="after")
    def _no_double_names(self) -> Self:
        for section, fixed in (
            ("probe", {"model", "facts"}),
            ("train", {"model", "seed"}),
            ("evaluate", {"model", "facts", "levels"}),
            ("drift", _HELD),
            ("ladder", _HELD | {"export", "force"}),
        ):
            twice = fixed & set(getattr(self, section))
            if twice:
                raise ValueError(f"{section} must not set {sorted(twice)[0]}: the study's own is used")
        return self

    @model_validator(mode="after")
    def _repairs_what_is_trained(self) -> Self:
        strange = [choice for choice in self.repair if choice not in self.trained_choices]
        if strange:
            raise ValueError(f"repair names {strange[0]}, which the study does not train; choices are its choices")
        return self

    @property
    def seeds(self) -> range:
        """The seeds to run."""
        return range(self.seed, self.seed + self.repeats)

    @property
    def trained_choices(self) -> tuple[Choice, ...]:
        """The choices in canonical order, the random control always among them."""
        return tuple(choice for choice in CHOICES if choice in self.choices or choice == "random")
