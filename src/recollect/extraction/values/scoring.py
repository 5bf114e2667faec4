"""Answers against the truth, by attribute: study B's share of right values, precision, F1, and their intervals.

    accuracy = right / pages whose truth has a value        (study B's metric; the same thing as recall)
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

from recollect.core.estimates import clustered_ratio, proportion
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


def score(values: pl.DataFrame, schema: Schema, invalid: int = 0, answers: int = 0) -> dict[str, Any]:
    """The numbers of one part's `judge` table, in percent, each with n and 95 % bounds; plain JSON.

    `invalid` of `answers` were no JSON object. An attribute without any truth has no accuracy: `without_truth` counts
    the values given for it, which nothing can judge. `unread_truth` counts true values that were compared as text.
    """
    names = [name for name in schema.names if name in set(values["group"])]
    truth, given, right, pages = _matrices(values, names)
    kept = [at for at, name in enumerate(names) if truth[:, at].any()]
    by_attribute = {names[at]: _attribute(truth[:, [at]], given[:, [at]], right[:, [at]]) for at in kept}
    f1 = {name: entry["f1"] for name, entry in by_attribute.items()}
    return {
        **_ratio("macro", right[:, kept], truth[:, kept]),
        **_ratio("micro", right.sum(axis=1, keepdims=True), truth.sum(axis=1, keepdims=True)),
        "by_attribute": by_attribute,
        "f1": f1,
        "macro_f1": float(np.mean(list(f1.values()))) if f1 else None,
        **_proportion("invalid", invalid, answers),
        "without_truth": {name: int(given[:, at].sum()) for at, name in enumerate(names) if name not in by_attribute},
        "unread_truth": _unread(values, schema),
        "n": int(truth.sum()),
        "pages": pages,
        "answers": answers,
    }


def _attribute(truth: Any, given: Any, right: Any) -> dict[str, Any]:
    """One attribute's numbers from its counts by page, pages × 1."""
    accuracy, f1 = _ratio("accuracy", right, truth), _ratio("f1", 2 * right, truth + given)
    return {
        "accuracy": accuracy["accuracy"],
        "low": accuracy["accuracy_low"],
        "high": accuracy["accuracy_high"],
        "n": int(truth.sum()),
        **_ratio("precision", right, given),
        "given": int(given.sum()),
        **f1,
    }


def _ratio(name: str, hits: Any, ns: Any) -> dict[str, float | None]:
    """The mean over groups of Σ hits / Σ ns in percent and its bounds with pages as units, by `name`; null for none."""
    if not ns.shape[1] or not ns.any():
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    seen = ns.any(axis=1)
    share, low, high = clustered_ratio(hits[seen], ns[seen]).percent
    return {name: share, f"{name}_low": max(0.0, low), f"{name}_high": min(100.0, high)}


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


def _proportion(name: str, right: int, n: int) -> dict[str, float | None]:
    """A share in percent and its bounds, by `name`; null without anything to count."""
    if not n:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    share, low, high = proportion(right, n).percent
    return {name: share, f"{name}_low": low, f"{name}_high": high}
