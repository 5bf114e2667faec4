"""Settings of a fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from recollect.chat.asking import asked_for, settled
from recollect.chat.render import TrainOn
from recollect.core.machine import Machine
from recollect.core.settings import Fixed, PathOrName
from recollect.evaluate import EvaluateSettings
from recollect.evaluate.pages import for_pages
from recollect.experiments.executors.settings import PlaceSettings
from recollect.experiments.executors.slurm import SlurmSettings
from recollect.experiments.fit.budget import DEFAULT, Budget, read_budget
from recollect.models import ModelRef, machine_of
from recollect.probe import ProbeSettings
from recollect.shipped import POCKET, own_preset_of
from recollect.train import TrainSettings, training_machine

Goal = Literal["facts", "chat", "attributes"]
_POOLED = 1_000_000
"""Facts that a memory level would need to have a mean of its own: all questions count alike."""
_CHAT_JUDGE = "token-f1:0.5"


def _check_budget(text: str) -> str:
    read_budget(text)
    return text


class FitSettings(PlaceSettings):
    """Give it a model and data, get back the better model: baselines, choice of data, settings, repair, one test.

    Examples:
        >>> from recollect import FitSettings
        >>> FitSettings.make(data="questions.csv", budget="30m").budget
        '30m'
    """

    later_fields: ClassVar[set[str]] = {"ask_turns"}
    runtime_only: ClassVar[set[str]] = PlaceSettings.runtime_only | {
        *("model", "data", "budget", "most_cost", "price_per_hour", "slurm")
    }

    model: PathOrName = POCKET
    """A folder, a Hugging Face name, or "pocket"."""
    data: PathOrName = POCKET
    """Questions and answers (CSV, JSON lines, a facts step), a chat file, or a label step with product pages."""
    goal: Literal["auto", "facts", "chat", "attributes"] = "auto"
    """What is to become better. attributes: the values of product pages. chat: answers of many words, judged by how
    much of them a model says (token-f1:0.5). facts: short answers, which must be said. auto: by the data."""
    budget: Annotated[str, AfterValidator(_check_budget)] = DEFAULT
    """How much may be spent: a time (30m), a number of settings to try (12 trials), of updates of all trainings (2000
    steps), or a price ($3, with price_per_hour). It may be raised when a fit is resumed."""
    most_cost: Annotated[float, Field(gt=0)] = 0.25
    """With a budget in trials: at most so much of an exhaustive search's updates in all trainings together, or three
    plain fine-tunings where that is more. It may be raised when a fit is resumed."""
    price_per_hour: Annotated[float, Field(gt=0)] | None = None
    """What an hour of the machine costs."""
    method: Literal["full", "lora"] = "full"
    """Train all parameters, or adapters; the model that comes out is whole in either case."""
    forgetting: Annotated[float, Field(ge=0)] = 0.5
    """What a point of forgetting costs in points of score, in every choice; 0 looks at the score alone."""
    few_shot: Annotated[int, Field(ge=0)] = 4
    """Training examples in the prompt of the base, as what a prompt alone gives; 0: not."""
    seeds: Annotated[int, Field(ge=1)] = 3
    """Trainings of the best settings, each with its own draw of the data; fewer where the budget has no room."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the training data by which everything is chosen; nothing is trained on it."""
    most_validation: Annotated[int, Field(ge=10)] = 300
    """At most so many questions are validated on."""
    most_kept: Annotated[int, Field(ge=0)] = 200
    """At most so many questions of other relations or shops are asked, to see what is forgotten; twice, for choosing
    and for the test."""
    limit: Annotated[int, Field(ge=10)] | None = None
    """At most so many test questions; all by default."""
    ask_turns: TrainOn = "all"
    """Of a conversation in validation and test: ask each turn of the assistant after the true turns before it (all), or
    the last one alone, which takes less time. Which turns are learned is said by train.train_on."""
    use_levels: bool = True
    """Probe what the base knows, so that examples can be chosen by memory level; not for pages and chats."""
    seed: int = 0
    """Decides the split, the proposals, and the first training."""
    probe: Annotated[ProbeSettings, Fixed("model", "facts")] = ProbeSettings(method="closed-form", templates=7)
    """Settings of `recollect probe`."""
    train: Annotated[TrainSettings, Fixed("model", "seed")] = TrainSettings()
    """Settings of `recollect train`: of the plain fine-tuning, and of what the search leaves open. What is given here
    is not searched."""
    evaluate: Annotated[EvaluateSettings, Fixed("model", "facts", "levels", "data", "parts", "limit", "shots")] = (
        EvaluateSettings()
    )
    """Settings of `recollect evaluate`."""
    slurm: SlurmSettings = SlurmSettings()
    """What each worker asks of Slurm, with executor slurm."""

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.limits.price is not None and self.price_per_hour is None:
            raise ValueError("a budget in money needs price_per_hour, what an hour of the machine costs")
        return self

    @property
    def limits(self) -> Budget:
        """The budget as numbers."""
        return read_budget(self.budget)

    @property
    def seconds(self) -> float | None:
        """The budget in time, also where it is money."""
        limits = self.limits
        if limits.price is not None and self.price_per_hour is not None:
            return 3600 * limits.price / self.price_per_hour
        return limits.seconds


@dataclass(frozen=True)
class FitParts:
    """The settings of the steps of a fit."""

    probe: ProbeSettings
    train: TrainSettings
    evaluate: EvaluateSettings

    @classmethod
    def of(cls, settings: FitSettings, ref: ModelRef | None, goal: Goal) -> FitParts:
        """The sections over what the fit says itself."""
        preset = own_preset_of(settings.model) if settings.method == "full" else None  # auto: by width and updates
        train = settings.train.over(preset=preset, method=settings.method, model=settings.model, seed=settings.seed)
        shared = {name: getattr(train, name) for name in ("revision", "trust_remote_code", "device")}
        as_goal = {"judge": _CHAT_JUDGE, "max_new_tokens": "auto"} if goal == "chat" else {}
        evaluate = settings.evaluate.over(
            **shared, **as_goal, model=settings.model, facts=settings.data, least_per_level=_POOLED
        )
        probe = settings.probe.over(
            **shared, model=settings.model, facts=settings.data, method="closed-form", templates=7
        )
        prompt = settled(settings.train.asked_in(), ref)
        train = train.model_copy(update={"prompt": prompt})
        own = asked_for(evaluate)
        evaluate = evaluate.model_copy(update={"prompt": prompt if own == "auto" else settled(own, ref)})
        made = cls(probe, train, evaluate)
        return replace(made, evaluate=for_pages(evaluate)) if goal == "attributes" else made

    def about(self, levels: Path | None) -> FitParts:
        """With the probe's levels."""
        return replace(self, evaluate=self.evaluate.model_copy(update={"levels": levels}))


def machines(settings: FitSettings) -> tuple[tuple[str, Machine], ...]:
    """What is done on which device and in which number format, for people to read."""
    parts = FitParts.of(settings, None, "facts")
    return ("training", training_machine(parts.train)), ("asking", machine_of(parts.evaluate))
