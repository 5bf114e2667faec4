"""Answers against the truth, by attribute: the share of right values, precision, F1, and their intervals.

    accuracy = right / pages whose truth has a value        (the metric of *Attribute Extraction*; the same as recall)
    precision = right / values given        F1 = 2 · precision · accuracy / (precision + accuracy)
    macro = unweighted mean over the attributes that have a truth

Notable choices
- Any of several true values counts. A value given where the truth has none, and one that cannot be read, is wrong.
- A true value that its normaliser cannot read is compared as text and stays in n; `unread_truth` counts such values.
  A placeholder ("N/A", "-") is no value, neither as truth nor as an answer.
- Values share pages, so every interval has the page as its unit (`recollect.core.estimates.clustered_ratio`): micro,
  macro, and of each attribute accuracy, precision and F1, which is a ratio too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from pydantic import model_validator

from recollect.core.estimates import Estimate, clustered_ratio, proportion
from recollect.core.estimates.intervals import within
from recollect.core.json_object import JsonObject
from recollect.core.workspace.result import Result
from recollect.extraction.values.normalisers import equal, readings
from recollect.extraction.values.plain import is_placeholder, plain_text
from recollect.extraction.values.schema import Attribute, Schema

VALUES = pl.Schema(
    {
        "item": pl.String(),
        "unit": pl.String(),
        "part": pl.String(),
        "group": pl.String(),
        "truth": pl.List(pl.String()),
        "given": pl.String(),
        "right": pl.Boolean(),
    }
)
"""One row per answer and attribute asked for; `given` is null where the answer has no value."""


class AttributeScore(Result):
    """How well one attribute was read."""

    accuracy: Estimate
    """Right values among the true ones; the same as recall."""
    precision: Estimate | None = None
    """Right values among those given; None where none was."""
    f1: Estimate
    given: int
    """Values given, right or wrong."""

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, values: Any) -> Any:
        """Steps of earlier versions hold percentages, as accuracy, low and high."""
        if not isinstance(values, dict) or "low" not in values:
            return values
        n, given = values["n"], values["given"]
        return {
            "accuracy": _of_percent(values, "accuracy", n, "low", "high"),
            "precision": _of_percent(values, "precision", given),
            "f1": _of_percent(values, "f1", n + given),
            "given": given,
        }


class PageScores(Result):
    """How well the pages of one part were read, by attribute; every interval has the page as its unit."""

    macro: Estimate | None = None
    """The mean of the attributes' accuracies; None without any true value, as `micro`."""
    micro: Estimate | None = None
    """Right values among all true ones."""
    by_attribute: dict[str, AttributeScore] = {}
    """Of each attribute that has a true value."""
    invalid: Estimate | None = None
    """Answers that are no JSON object, among all answers; None where no text was read."""
    without_truth: dict[str, int] = {}
    """Values given for attributes without any true value, which nothing can judge."""
    unread_truth: dict[str, int] = {}
    """True values that cannot be read, so that they were compared as text, of the attributes that have such."""
    n: int = 0
    """True values."""
    pages: int = 0
    answers: int = 0

    @property
    def macro_f1(self) -> float | None:
        """The mean of the attributes' F1, a fraction; None without any."""
        return float(np.mean([one.f1.value for one in self.by_attribute.values()])) if self.by_attribute else None

    def in_percent(self) -> dict[str, object]:
        """The numbers as the commands' JSON names them: flat, in percent, each with its bounds; null for none."""
        f1 = {name: 100 * one.f1.value for name, one in self.by_attribute.items()}
        counts = ("without_truth", "unread_truth", "n", "pages", "answers")
        return {
            **_named("macro", self.macro),
            **_named("micro", self.micro),
            "by_attribute": {
                name: {
                    **_named("accuracy", one.accuracy, "low", "high"),
                    "n": one.accuracy.n,
                    **_named("precision", one.precision),
                    "given": one.given,
                    **_named("f1", one.f1),
                }
                for name, one in self.by_attribute.items()
            },
            "f1": f1,
            "macro_f1": float(np.mean(list(f1.values()))) if f1 else None,
            **_named("invalid", self.invalid),
            **{name: getattr(self, name) for name in counts},
        }

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, values: Any) -> Any:
        """Steps of earlier versions hold percentages, as macro, macro_low and macro_high."""
        if not isinstance(values, dict) or "macro_low" not in values:
            return values
        sizes = {"macro": values["n"], "micro": values["n"], "invalid": values["answers"]}
        return values | {name: _of_percent(values, name, n) for name, n in sizes.items()}


def _of_percent(values: JsonObject, name: str, n: int, low: str = "", high: str = "") -> Estimate | None:
    if values[name] is None:
        return None
    value, least, most = (values[key] / 100 for key in (name, low or f"{name}_low", high or f"{name}_high"))
    return Estimate(value, least, most, n, "clustered by page")


def _named(name: str, found: Estimate | None, low: str = "", high: str = "") -> dict[str, float | None]:
    names = (name, low or f"{name}_low", high or f"{name}_high")
    return dict(zip(names, found.percent if found else (None, None, None), strict=True))


@dataclass(frozen=True)
class PageAnswer:
    """One answer about one page: what was asked for, what is true, what was given."""

    item: str
    """Id of the answer, distinct."""
    page: str
    """Id of the page; several answers may be about one."""
    truth: Mapping[str, Sequence[str]]
    """Every true value by attribute; nothing for an attribute the page lacks."""
    given: Mapping[str, str] | None
    """The values given; None for an answer that is no JSON object."""
    asked: tuple[str, ...] | None = None
    """The attributes asked for; None for all of the schema."""
    part: str = "test"


def judge(schema: Schema, answers: Iterable[PageAnswer]) -> pl.DataFrame:
    """One row per answer and attribute asked for; columns as in `VALUES`, order as given.

    A true value that its normaliser cannot read is compared as text; a placeholder is no value.
    """
    rows = []
    for answer in answers:
        for attribute in schema:
            if answer.asked is not None and attribute.name not in answer.asked:
                continue
            truth = [value for value in answer.truth.get(attribute.name, ()) if _is_value(value)]
            given = (answer.given or {}).get(attribute.name)
            given = given if given is not None and _is_value(given) else None
            right = given is not None and any(_agree(attribute, value, given) for value in truth)
            item = f"{answer.item}:{attribute.name}"
            rows.append((item, answer.page, answer.part, attribute.name, truth, given, right))
    return pl.DataFrame(rows, schema=VALUES, orient="row")


def _is_value(value: str) -> bool:
    return bool(value.strip()) and not is_placeholder(value)


def _agree(attribute: Attribute, true: str, given: str) -> bool:
    """Whether two values mean the same, or are the same text where the true one cannot be read."""
    if readings(attribute, true):
        return equal(attribute, true, given)
    return plain_text(true) == plain_text(given)


def items(values: pl.DataFrame) -> pl.DataFrame:
    """The test items behind accuracy and macro: one row per true value (item, unit, group, right, part)."""
    return values.filter(pl.col("truth").list.len() > 0).select("item", "unit", "group", "right", "part")


def score(values: pl.DataFrame, schema: Schema, invalid: int = 0, answers: int = 0) -> PageScores:
    """The numbers of one part's `judge` table; `invalid` of `answers` were no JSON object."""
    names = [name for name in schema.names if name in set(values["group"])]
    truth, given, right, pages = _matrices(values, names)
    kept = [at for at, name in enumerate(names) if truth[:, at].any()]
    by_attribute = {names[at]: _attribute(truth[:, [at]], given[:, [at]], right[:, [at]]) for at in kept}
    return PageScores(
        macro=_ratio(right[:, kept], truth[:, kept]),
        micro=_ratio(right.sum(axis=1, keepdims=True), truth.sum(axis=1, keepdims=True)),
        by_attribute={name: found for name, found in by_attribute.items() if found},
        invalid=proportion(invalid, answers) if answers else None,
        without_truth={name: int(given[:, at].sum()) for at, name in enumerate(names) if name not in by_attribute},
        unread_truth=_unread(values, schema),
        n=int(truth.sum()),
        pages=pages,
        answers=answers,
    )


def _attribute(truth: Any, given: Any, right: Any) -> AttributeScore | None:
    """One attribute's numbers from its counts by page, pages × 1; None without a true value."""
    accuracy, f1 = _ratio(right, truth), _ratio(2 * right, truth + given)
    if accuracy is None or f1 is None:
        return None
    return AttributeScore(accuracy=accuracy, precision=_ratio(right, given), f1=f1, given=int(given.sum()))


def _ratio(hits: Any, ns: Any) -> Estimate | None:
    """The mean over groups of Σ hits / Σ ns with pages as units; None for nothing."""
    if not ns.shape[1] or not ns.any():
        return None
    seen = ns.any(axis=1)
    return within(clustered_ratio(hits[seen], ns[seen]), 0, 1)


def _unread(values: pl.DataFrame, schema: Schema) -> dict[str, int]:
    """How many rows of each attribute have true values of which none can be read; attributes without any left out."""
    found = {
        attribute.name: sum(
            bool(truth) and not any(readings(attribute, value) for value in truth)
            for truth in values.filter(pl.col("group") == attribute.name)["truth"].to_list()
        )
        for attribute in schema
    }
    return {name: count for name, count in found.items() if count}


def _matrices(values: pl.DataFrame, names: Sequence[str]) -> tuple[Any, Any, Any, int]:
    """Pages × attributes: how many values are true, given, and right."""
    page_at = {page: at for at, page in enumerate(dict.fromkeys(values["unit"]))}
    at_name = {name: at for at, name in enumerate(names)}
    found = np.zeros((3, max(len(page_at), 1), len(names)))
    for row in values.iter_rows(named=True):
        spot = page_at[row["unit"]], at_name[row["group"]]
        found[0][spot] += bool(row["truth"])
        found[1][spot] += row["given"] is not None
        found[2][spot] += row["right"]
    return found[0], found[1], found[2], len(page_at)
