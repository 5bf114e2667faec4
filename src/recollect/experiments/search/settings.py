"""Settings of a search for settings."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from recollect.core.secret_url import SecretUrl
from recollect.core.settings import Settings, read_section
from recollect.shipped import POCKET

TRIALS = 16
"""Settings that a search tries where neither a number nor a budget is given."""

_SLIP = re.compile(r"^[A-Za-z][\w+.-]+:|(?i:\bpass\w*\s*=)")
"""Begins like a URL, or reads like a list of connection options, but is neither a URL nor likely a file."""


def _check_rungs(rungs: tuple[float, ...]) -> tuple[float, ...]:
    ascending = all(first < second for first, second in pairwise(rungs))
    if not rungs or rungs[0] <= 0 or rungs[-1] != 1 or not ascending:
        raise ValueError("must ascend from above 0 to 1 as shares of the training, such as 0.2,1")
    return rungs


class SearchSettings(Settings):
    """Search for the settings that fine-tune best: judge every trial early, finish only those worth it."""

    model_config = ConfigDict(hide_input_in_errors=True)  # a storage's password

    runtime_only: ClassVar[set[str]] = {
        "model",
        "facts",
        "levels",
        "space",
        "workers",
        "executor",
        "address",
        "gpus_per_trial",
        "retries",
        "storage",
        "study",
        "resume",
    }

    model: str = POCKET
    """A folder, a Hugging Face name, "pocket" or "pocket-shop"."""
    facts: str = POCKET
    """A facts or label step directory, a data file, "pocket" or "pocket-shop"."""
    levels: str = "probe"
    """The base model's probe step directory: scores are by memory level, and examples are chosen by it. "probe": probe
    the base first. "none": neither. Pages are scored by attribute and have no levels."""
    space: str | dict[str, Any] | None = None
    """What to search: a YAML file, or a mapping such as "{learning_rate: {low: 1e-5, high: 1e-3, log: true},
    batch_size: [4, 8]}". Default: sane ranges for the method."""
    method: Literal["full", "lora"] = "full"
    """Which default space and starts to take: all parameters, or adapters."""
    trials: Annotated[int, Field(ge=1)] | None = None
    """How many settings to try. Default: 16; with a budget in updates or hours, as many as it allows."""
    budget_steps: Annotated[int, Field(ge=1)] | None = None
    """Stop starting trainings when all of them together have made this many updates."""
    budget_hours: Annotated[float, Field(gt=0)] | None = None
    """Stop starting trainings when all of them together have taken this long."""
    rungs: Annotated[tuple[float, ...], AfterValidator(_check_rungs)] = (0.2, 1.0)
    """Shares of a trial's training at which it is judged and may pause; the last is 1."""
    promote: Annotated[float, Field(gt=0, le=1)] = 1 / 3
    """Share of the trials to train on after the first rung, best forecasts first, until early and final scores of three
    trials are known; then it follows the correlation expected by them and a prior (about 0.8, worth three trials). With
    a budget in place of a number of trials it does so at once, and is smaller, and a larger or smaller value here makes
    it so in proportion."""
    random_finishers: Annotated[int, Field(ge=0)] = 2
    """Paused trials, drawn at random, that are trained to the end to measure that correlation."""
    sampler: Literal["auto", "gp", "tpe", "random"] = "auto"
    """Who proposes settings: gp a Gaussian process over settings and rungs, tpe for large or conditional spaces, random
    for comparison. auto chooses."""
    seed: int = 0
    """Decides the proposals, the validation slice, and each trial's examples and training."""
    repeats: Annotated[int, Field(ge=1)] = 1
    """Whole searches to run, one per seed from the first one up; their spread says how far to trust one."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the in-domain test part that trials are judged on; the rest, and the out-of-domain part, stay unseen
    until the end."""
    validation: Annotated[int, Field(ge=4)] | None = None
    """At most this many facts (or pages) are validated on."""
    finalists: Annotated[int, Field(ge=1)] = 5
    """How many of the best finished trials are asked the unseen questions at the end, besides the baseline."""
    order: Literal["arrival", "submission"] = "arrival"
    """How several workers' outcomes are taken in: as they come, or in the order of their jobs. submission makes a
    search with several workers give the same result again, and lets workers wait."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Trainings at once. Default: one here; with ray, as many as the cluster has room for."""
    executor: Literal["here", "ray"] = "here"
    """Where to train: on this machine, or on a Ray cluster."""
    address: SecretUrl | None = None
    """Address of the Ray cluster, such as auto or 10.0.0.1:6379; without it, ray starts one on this machine. What may
    be a password in it is shown nowhere."""
    gpus_per_trial: Annotated[float, Field(ge=0)] | None = None
    """GPUs each training gets with ray; 0.5 puts two on one. Default: 1 where there are GPUs."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a job is run again, from its last checkpoint, when its worker died."""
    storage: SecretUrl | None = None
    """An Optuna storage: a URL such as postgresql://host/db, or a journal file. Default: a journal file in the search's
    folder. What may be a password in it is shown and stored nowhere."""
    study: str = "recollect"
    """Name of the study in the storage."""
    resume: bool = False
    """Only resume a search that was begun. The same command resumes anyway; this refuses to start a new one."""
    keep_models: bool = False
    """Keep the weights of every trial; off, only those of the best are kept, with all answers and scores."""
    select: dict[str, Any] = {}
    """Settings of `recollect select` for what the space leaves open, except facts, levels and seed."""
    train: dict[str, Any] = {}
    """Settings of `recollect train` for what the space leaves open, except model and seed. Without a preset: B-LoRA for
    lora; pocket or pocket-shop for those models, C for any other."""
    evaluate: dict[str, Any] = {}
    """Settings of `recollect evaluate`, except model, facts, levels and parts."""
    probe: dict[str, Any] = {"residual_samples": 1}
    """Settings of `recollect probe` where the search probes the base itself, except model and facts."""

    @classmethod
    def make(cls, /, **values: Any) -> Self:
        """As `Settings.make`; the addresses are masked before anything is checked, so no error text repeats them."""
        for name in ("storage", "address"):
            if isinstance(values.get(name), str):
                values[name] = SecretUrl(values[name])
        return super().make(**values)

    @property
    def most_trials(self) -> int | None:
        """How many settings to try; None for as many as the budget allows."""
        endless = self.budget_steps is None and self.budget_hours is None
        return TRIALS if self.trials is None and endless else self.trials

    @property
    def journal(self) -> Path | None:
        """The journal file that `storage` names; None for a URL, and for the one in the search's folder."""
        place = "" if self.storage is None else self.storage.get_secret_value()
        return None if self.storage is None or "://" in place else Path(place)

    @field_validator("rungs", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [item.strip() for item in value.split(",") if item.strip()]
        return [value] if isinstance(value, int | float) else value

    @field_validator("select", "train", "evaluate", "probe", mode="before")
    @classmethod
    def _section(cls, value: Any) -> Any:
        return read_section(value)

    @field_validator("storage")
    @classmethod
    def _place(cls, value: SecretUrl | None) -> SecretUrl | None:
        text = "" if value is None else value.get_secret_value()
        if value is not None and "://" not in text and _SLIP.search(text):
            raise ValueError("must be a URL with :// after its kind, such as postgresql://host/db, or a file's path")
        return value

    @field_validator("levels", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return "none" if value is None else str(value) if isinstance(value, Path) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for section, fixed in (
            ("select", {"facts", "levels", "seed"}),
            ("train", {"model", "seed"}),
            ("evaluate", {"model", "facts", "levels", "parts", "limit"}),
            ("probe", {"model", "facts"}),
        ):
            twice = fixed & set(getattr(self, section))
            if twice:
                raise ValueError(f"{section} must not set {sorted(twice)[0]}: the search's own is used")
        if self.executor == "here" and (self.address is not None or self.gpus_per_trial is not None):
            raise ValueError("address and gpus_per_trial go with executor ray")
        if self.repeats > 1 and self.storage is not None:
            raise ValueError("storage holds one search, but repeats makes several; leave one of them out")
        return self
