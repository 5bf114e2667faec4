"""What an evaluation found."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from recollect.chat.asking import Written
from recollect.core.workspace.result import Result
from recollect.evaluate.accuracy import Accuracy
from recollect.evaluate.agreement import Agreement
from recollect.evaluate.llm_judge import LlmSpent
from recollect.evaluate.pages import PagesAsked
from recollect.evaluate.settings import PARTS
from recollect.facts import Part
from recollect.match import DEFAULT_JUDGE


class EvaluateFound(Result):
    """What an evaluation found: for facts by memory level, for pages by attribute."""

    accuracy: dict[Part, Accuracy] = {}
    """By part that was asked, by the main judge; empty for pages."""
    judge: str = DEFAULT_JUDGE
    """The main judge."""
    judges: dict[str, dict[Part, Accuracy]] = {}
    """By judge, every one that was asked and the usual two; empty for pages, and in steps of earlier versions."""
    agreement: dict[str, Agreement] = {}
    """Of each judge that was asked for, with the sample that was judged by hand."""
    llm: LlmSpent | None = None
    """What the judge llm cost."""
    max_new_tokens: int | None = None
    """The longest answer that there could be; None in steps of earlier versions."""
    pages: PagesAsked | None = None
    """The scores of pages; None for facts."""
    prompt: Written = "plain"
    """What the questions were asked in; plain in a folder of an earlier version."""
    notes: list[str] = []
    """Lines for people about answers that no completion can hold or that the tokenizer cannot write."""
    sources: dict[str, str] = {}
    """Where model, facts and levels came from."""

    @property
    def part(self) -> Part:
        """The part that is told first: test, unless only others were asked."""
        return next((part for part in PARTS if part in self.accuracy), "test")

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, values: Any) -> Any:
        """Steps of earlier versions hold the first part's numbers at the top, the others by name."""
        if not isinstance(values, dict) or not {"micro_low", "by_attribute"} & set(values):
            return values
        rest = {name: values[name] for name in ("notes", "sources", "prompt") if name in values}
        if "by_attribute" in values:
            return {"pages": {name: value for name, value in values.items() if name not in rest}, **rest}
        first, means = values.get("part", "test"), values.get("word", {})
        parts = {first: values, **{part: values[part] for part in PARTS if values.get(part)}}
        return {
            "accuracy": {
                part: {
                    **numbers,
                    "word": {
                        f"word_{mean}": means.get(mean if part == first else f"{part}_{mean}")
                        for mean in ("macro", "micro")
                    },
                }
                for part, numbers in parts.items()
                if numbers["n"]
            },
            **rest,
        }
