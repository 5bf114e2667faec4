"""Settings of a search for settings, and of the scheduler's plan within it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from recollect.core.json_object import JsonObject
from recollect.core.secret_url import SecretUrl
from recollect.core.settings import Fixed, Name, PathOrName, Settings, path_as_text
from recollect.evaluate import EvaluateSettings
from recollect.probe import ProbeSettings
from recollect.select import SelectSettings
from recollect.shipped import POCKET
from recollect.train import TrainSettings

TRIALS = 16
"""Settings that a search tries where neither a number nor a budget is given."""

_SLIP = re.compile(r"^[A-Za-z][\w+.-]+:|(?i:\bpass\w*\s*=)")
"""Begins like a URL, or reads like a list of connection options, but is neither a URL nor likely a file."""

Sampler = Literal["auto", "gp", "tpe", "random"]


def _check_rungs(rungs: tuple[float, ...]) -> tuple[float, ...]:
    ascending = all(first < second for first, second in pairwise(rungs))
    if not rungs or rungs[0] <= 0 or rungs[-1] != 1 or not ascending:
        raise ValueError("must ascend from above 0 to 1 as shares of the training, such as 0.2,1")
    return rungs


class _Searched(Settings):
    """What a search is of."""

    model: Name = POCKET
    """A folder, a Hugging Face name, "pocket" or "pocket-shop"."""
    facts: Name = POCKET
    """A facts or label step directory, a data file, "pocket" or "pocket-shop"."""
    levels: PathOrName = "probe"
    """The base model's probe step directory: scores are by memory level, and examples are chosen by it. "probe": probe
    the base first. "none": neither. Pages are scored by attribute and have no levels."""
    space: PathOrName | JsonObject | None = None
    """What to search: a YAML file, or a mapping such as "{learning_rate: {low: 1e-5, high: 1e-3, log: true},
    batch_size: [4, 8]}". Default: sane ranges for the method."""
    method: Literal["full", "lora"] = "full"
    """Which default space and starts to take: all parameters, or adapters."""


class _Planned(Settings):
    """What the plan of a search and its settings have in common."""

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
    sampler: Sampler = "auto"
    """Which of Optuna's samplers proposes settings: tpe (a tree-structured Parzen estimator), gp (a Gaussian process,
    for spaces without conditions), random for comparison. auto is tpe, by replays of recorded training curves alone; no
    real searches were compared. Against the Gaussian process of our own that it replaced, its regret at the cost of 8
    trainings was 0.017 higher (95 % interval 0.004 lower to 0.039 higher), and on one task of six it was worse beyond
    noise; at 20 there was no difference."""


class Plan(_Planned):
    """Budget, rungs and policy of one search. Decided before it starts; only the budget may be raised later."""

    may_change: ClassVar[set[str]] = {"trials", "budget_steps", "budget_hours"}

    trials: Annotated[int, Field(ge=1)] | None = TRIALS
    """Settings to try; none for as many as the budget in steps or hours allows."""
    adapt: bool = True
    """Promote fewer when early scores prove good forecasts, more when they prove poor ones."""
    least_chance: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """A trial whose chance to beat the best finished one is smaller is not promoted."""
    startup: Annotated[int, Field(ge=1)] = 4
    """Trials before the proposals are modelled: the known good settings, then points spread over the space."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.trials is None and self.budget_steps is None and self.budget_hours is None:
            raise ValueError("a budget must be given: trials, budget_steps or budget_hours")
        return self

    @property
    def last(self) -> int:
        """The last rung."""
        return len(self.rungs) - 1


class SearchSettings(_Planned, _Searched):
    """Search for the settings that fine-tune best: judge every trial early, finish only those worth it.

    Examples:
        >>> from recollect import SearchSettings
        >>> SearchSettings.make(space={"learning_rate": [1e-4, 3e-4]}, trials=8, select={"size": 60}).trials
        8
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # a storage's password

    runtime_only: ClassVar[set[str]] = {
        "model",
        "facts",
        "levels",
        "space",
        "workers",
        "executor",
        "one_by_one",
        "address",
        "gpus_per_trial",
        "retries",
        "storage",
        "study",
        "resume",
    }

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
    one_by_one: bool = False
    """One training after the other from the start. Else the first trials, where they are adapters, are trained in one
    pass if that is measured to be faster."""
    address: SecretUrl | None = None
    """Address of the Ray cluster, such as auto or 10.0.0.1:6379; without it, ray starts one on this machine. What may
    be a password in it is shown nowhere."""
    gpus_per_trial: Annotated[float, Field(ge=0)] | None = None
    """GPUs each training gets with ray; 0.5 puts two on one. Default: 1 where there are GPUs."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a job is run again, from its last checkpoint, when its worker died."""
    storage: Annotated[SecretUrl, BeforeValidator(path_as_text)] | None = None
    """An Optuna storage: a URL such as postgresql://host/db, or a journal file. Default: a journal file in the search's
    folder. What may be a password in it is shown and stored nowhere."""
    study: str = "recollect"
    """Name of the study in the storage."""
    resume: bool = False
    """Only resume a search that was begun. The same command resumes anyway; this refuses to start a new one."""
    keep_models: bool = False
    """Keep the weights of every trial; off, only those of the best are kept, with all answers and scores."""
    select: Annotated[SelectSettings, Fixed("facts", "levels", "seed")] = SelectSettings()
    """Settings of `recollect select` for what the space leaves open."""
    train: Annotated[TrainSettings, Fixed("model", "seed")] = TrainSettings()
    """Settings of `recollect train` for what the space leaves open. Without a preset: attribute-extraction-lora for
    lora; pocket or pocket-shop for those models, token-and-parameter-levels for any other."""
    evaluate: Annotated[EvaluateSettings, Fixed("model", "facts", "levels", "data", "parts", "limit")] = (
        EvaluateSettings()
    )
    """Settings of `recollect evaluate`."""
    probe: Annotated[ProbeSettings, Fixed("model", "facts")] = ProbeSettings()
    """Settings of `recollect probe` where the search probes the base itself."""

    @classmethod
    def make(cls, /, **values: Any) -> Self:
        """As `Settings.make`; the addresses are masked before anything is checked, so no error text repeats them."""
        for name in ("storage", "address"):
            if isinstance(values.get(name), str):
                values[name] = SecretUrl(values[name])
        return super().make(**values)

    def fingerprint_values(self) -> dict[str, Any]:
        """As ever, less what may be changed while a search is unfinished."""
        moving = ("trials", "budget_steps", "budget_hours", "repeats")
        return {name: value for name, value in super().fingerprint_values().items() if name not in moving}

    @property
    def most_trials(self) -> int | None:
        """How many settings to try; None for as many as the budget allows."""
        endless = self.budget_steps is None and self.budget_hours is None
        return TRIALS if self.trials is None and endless else self.trials

    def plan(self) -> Plan:
        """The scheduler's plan."""
        shared = {name: getattr(self, name) for name in _Planned.model_fields}
        return Plan.make(**shared | {"trials": self.most_trials})

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

    @field_validator("space", mode="before")
    @classmethod
    def _named_settings(cls, value: Any) -> Any:
        named = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
        if not named and not isinstance(value, str | os.PathLike | None):
            raise ValueError("must be a YAML file or its text, or a mapping of settings' names to ranges or lists")
        return value

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
        return "none" if value is None else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.executor == "here" and (self.address is not None or self.gpus_per_trial is not None):
            raise ValueError("address and gpus_per_trial go with executor ray")
        if self.repeats > 1 and self.storage is not None:
            raise ValueError("storage holds one search, but repeats makes several; leave one of them out")
        return self
