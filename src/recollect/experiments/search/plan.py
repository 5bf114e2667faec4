"""What a search may spend, and how it decides who is trained on."""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from recollect.core.settings import Settings

Sampler = Literal["auto", "gp", "optuna-gp", "tpe", "random"]


class Plan(Settings):
    """Budget, rungs and policy of one search. Decided before it starts; only the budget may be raised later."""

    may_change: ClassVar[set[str]] = {"trials", "budget_steps", "budget_hours"}

    trials: Annotated[int, Field(ge=1)] | None = 16
    """Settings to try; none for as many as the budget in steps or hours allows."""
    budget_steps: Annotated[int, Field(ge=1)] | None = None
    """Training steps (updates) to spend over all trials together."""
    budget_hours: Annotated[float, Field(gt=0)] | None = None
    """Hours of training and scoring to spend, summed over all workers."""
    rungs: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.2, 1.0)
    """Shares of a trial's training after which it is scored and may be paused; the last is 1."""
    promote: Annotated[float, Field(gt=0, le=1)] = 1 / 3
    """Share of the trials to train on, best forecasts first; adapts to the measured correlation. Of a budget in steps
    or hours it is smaller from the start, in proportion to this."""
    adapt: bool = True
    """Promote fewer when early scores prove good forecasts, more when they prove poor ones."""
    random_finishers: Annotated[int, Field(ge=0)] = 2
    """Paused trials, drawn at random, that are trained to the end to measure that correlation."""
    least_chance: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """A trial whose chance to beat the best finished one is smaller is not trained on."""
    sampler: Sampler = "auto"
    """Who proposes settings: our Gaussian process (gp), Optuna's (optuna-gp), tpe, random; auto: gp, or tpe for a
    large or conditional space."""
    startup: Annotated[int, Field(ge=1)] = 4
    """Trials before the proposals are modelled: the known good settings, then points spread over the space."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.rungs or self.rungs[-1] != 1.0:
            raise ValueError(f"the last rung must be 1.0, but got {list(self.rungs)}")
        if any(low >= high for low, high in itertools.pairwise(self.rungs)):
            raise ValueError(f"rungs must rise, but got {list(self.rungs)}")
        if self.trials is None and self.budget_steps is None and self.budget_hours is None:
            raise ValueError("a budget must be given: trials, budget_steps or budget_hours")
        return self
