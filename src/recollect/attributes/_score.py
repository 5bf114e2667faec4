"""Answers against the truth, by attribute: study B's share of right values, precision, F1, and their intervals.

    accuracy = right / pages whose truth has a value        (study B's metric; the same thing as recall)
    precision = right / values given        F1 = 2 · precision · accuracy / (precision + accuracy)
    macro = unweighted mean over the attributes that have a truth

Notable choices
- Any of several true values counts. A value given where the truth has none, and one that cannot be read, is wrong.
- Values share pages, so F1 and macro get their intervals from a bootstrap over pages; for macro the wider of that and
  of independent proportions is stated, for at 0 % or 100 % a bootstrap has nothing to vary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recollect.attributes._normalise import equal, readings
from recollect.attributes._schema import Schema
from recollect.statistics import macro_mean, proportion

_DRAWS = 2_000
_SEED = 20_240_716  # any fixed number: equal inputs must give equal intervals

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

    A true value that its normaliser cannot read is left out: nothing could ever equal it.
    """
    rows = []
    for answer in answers:
        for attribute in schema:
            if answer.asked is not None and attribute.name not in answer.asked:
                continue
            truth = [value for value in answer.truth.get(attribute.name, ()) if readings(attribute, value)]
            given = (answer.given or {}).get(attribute.name) or None
            right = given is not None and any(equal(attribute, value, given) for value in truth)
            item = f"{answer.item}:{attribute.name}"
            rows.append((item, answer.page, answer.part, attribute.name, truth, given, right))
    return pl.DataFrame(rows, schema=VALUES, orient="row")


def items(values: pl.DataFrame) -> pl.DataFrame:
    """The test items behind accuracy and macro: one row per true value (item, unit, group, right, part)."""
    return values.filter(pl.col("truth").list.len() > 0).select("item", "unit", "group", "right", "part")


def score(values: pl.DataFrame, schema: Schema, invalid: int = 0, answers: int = 0) -> dict[str, Any]:
    """The numbers of one part's `judge` table, in percent, each with n and 95 % bounds; plain JSON.

    `invalid` of `answers` were no JSON object. An attribute without any truth has no accuracy: `without_truth` counts
    the values given for it, which nothing can judge.
    """
    names = [name for name in schema.names if name in set(values["group"])]
    truth, given, right, pages = _matrices(values, names)
    weights = np.random.default_rng(_SEED).multinomial(len(truth), [1 / len(truth)] * len(truth), size=_DRAWS)
    totals = [matrix.sum(axis=0) for matrix in (truth, given, right)]
    drawn = [weights @ matrix for matrix in (truth, given, right)]
    f1_bounds = _bounds(_f1(drawn[2], drawn[0], drawn[1]))
    by_attribute = {
        name: _attribute(int(totals[0][at]), int(totals[1][at]), int(totals[2][at]), f1_bounds[:, at])
        for at, name in enumerate(names)
        if totals[0][at]
    }
    f1 = {name: entry["f1"] for name, entry in by_attribute.items()}
    return {
        **_macro(by_attribute, totals, drawn, names),
        **_proportion("micro", int(totals[2].sum()), int(totals[0].sum())),
        "by_attribute": by_attribute,
        "f1": f1,
        "macro_f1": float(np.mean(list(f1.values()))) if f1 else None,
        **_proportion("invalid", invalid, answers),
        "without_truth": {name: int(totals[1][at]) for at, name in enumerate(names) if name not in by_attribute},
        "n": int(totals[0].sum()),
        "pages": pages,
        "answers": answers,
    }


def _attribute(n: int, given: int, right: int, f1_bounds: Any) -> dict[str, Any]:
    accuracy = _proportion("accuracy", right, n)
    f1 = 2 * right / (n + given)
    f1_low, f1_high = float(f1_bounds[0]), float(f1_bounds[1])
    if f1_low == f1_high:  # all right or all wrong: as for the share of right values, in F1's measure
        share = proportion(right, n)
        f1_low, f1_high = (min(1.0, bound * 2 * n / (n + given)) for bound in (share.low, share.high))
    return {
        "accuracy": accuracy["accuracy"],
        "low": accuracy["accuracy_low"],
        "high": accuracy["accuracy_high"],
        "n": n,
        **_proportion("precision", right, given),
        "given": given,
        "f1": 100 * f1,
        "f1_low": 100 * min(f1, f1_low),
        "f1_high": 100 * max(f1, f1_high),
    }


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


def _macro(
    by_attribute: Mapping[str, Any], totals: Sequence[Any], drawn: Sequence[Any], names: Sequence[str]
) -> dict[str, Any]:
    if not by_attribute:
        return {"macro": None, "macro_low": None, "macro_high": None}
    keep = [at for at, name in enumerate(names) if name in by_attribute]
    hits, ns = ([int(totals[which][at]) for at in keep] for which in (2, 0))
    estimate = float(np.mean([hit / n for hit, n in zip(hits, ns, strict=True)]))
    independent = macro_mean(hits, ns)
    seen = drawn[0][:, keep] > 0  # a draw without an attribute's pages says nothing about it
    shares = np.divide(drawn[2][:, keep], drawn[0][:, keep], out=np.zeros(seen.shape), where=seen)
    drawn_something = seen.any(axis=1)
    means = shares[drawn_something].sum(axis=1) / seen[drawn_something].sum(axis=1)
    by_page = _bounds(means[:, None])[:, 0]
    return {
        "macro": 100 * estimate,
        "macro_low": 100 * min(independent.low, float(by_page[0])),
        "macro_high": 100 * max(independent.high, float(by_page[1])),
    }


def _f1(right: Any, truth: Any, given: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return 2 * right / (truth + given)


def _bounds(draws: Any) -> Any:
    """2.5 % and 97.5 % quantiles of each column, nothing where no draw has a value."""
    if not np.isfinite(draws).any(axis=0).all():
        draws = np.where(np.isfinite(draws).any(axis=0), draws, 0.0)
    return np.nanquantile(draws, [0.025, 0.975], axis=0)


def _proportion(name: str, right: int, n: int) -> dict[str, float | None]:
    """A share in percent and its bounds, by `name`; null without anything to count."""
    if not n:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    share, low, high = proportion(right, n).percent
    return {name: share, f"{name}_low": low, f"{name}_high": high}
