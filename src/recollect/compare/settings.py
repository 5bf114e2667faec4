"""Settings of a comparison: how all models are asked, and what stands beside them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from recollect.compare.chance import MOST
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings


def _check_chance(value: str) -> str:
    if value == "auto":
        return value
    try:
        chance = float(value)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= MOST:
        raise InputError(f"chance must be auto or a number from 0 to {MOST}, such as 0.25, but got {value!r}")
    return value


class CompareSettings(EvaluateSettings):
    """Ask a base and the models made of it the same questions: which answers flipped, and is the difference real?

    Examples:
        >>> from recollect import CompareSettings
        >>> CompareSettings.make(parts="test", few_shot=8).few_shot
        8
    """

    runtime_only: ClassVar[set[str]] = EvaluateSettings.runtime_only

    few_shot: Annotated[int, Field(ge=0)] = 4
    """Ask the first model also with so many training facts and their answers before each question, as what a prompt
    alone would give; 0: not. Facts without training facts go without."""
    chance: Annotated[str, AfterValidator(_check_chance)] = "auto"
    """How likely a guess is right, which the shares of flips are corrected for: a number such as 0.25 (four choices), 0
    for none. auto: one over the number of answers that the questions of a relation have."""

    @model_validator(mode="after")
    def _asks_facts(self) -> Self:
        if self.data is not None:
            raise ValueError(
                "compare asks facts. Ask each model with `recollect evaluate --data`, and compare the evaluations"
            )
        return self

    @model_validator(mode="after")
    def _asks_here(self) -> Self:
        if self.engine == "completions":
            raise ValueError(
                "compare asks several models, and the server of the engine completions is one. Ask each with "
                "`recollect evaluate --engine completions`, and compare the evaluations"
            )
        return self

    def asking(self, model: str, shots: int | None = None) -> EvaluateSettings:
        """The evaluation that one of the models gets."""
        own = CompareSettings.model_fields.keys() - EvaluateSettings.model_fields.keys()
        given: dict[str, object] = self.model_dump(exclude_unset=True, exclude=set(own))
        return EvaluateSettings.make(**{**given, "model": model, **({} if shots is None else {"shots": shots})})


Kind = Literal["first", "few-shot", "other"]
"""A model's part in a comparison: the first one, the same with examples before each question, or another one."""
