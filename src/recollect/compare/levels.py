"""Models against models by what they know: level distributions, their distance, and which facts both know.

Notable choices
- Where levels are probabilities, counts are expected ones: of a fact that the first knows with p and the second with q,
  p·q count for both. The draws of two probes are independent.
- Intervals are over facts of the same kind, paired: a fact is one unit whatever the models say of it, and so are all
  facts about one subject where subjects repeat (of the shares and differences; kappa counts facts). What the draws of
  one probe add is told beside them (`Repeat`), since two probes of one model differ too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recollect.compare.apart import SURE, repeat_apart
from recollect.compare.levels_found import LevelPair, LevelsFound, LevelShares, LevelsResult, RelationPair, Repeat
from recollect.compare.probes import Probed, read_probes
from recollect.core.estimates import (
    LEAST_PER_LEVEL,
    Estimate,
    apart_of,
    by_cluster,
    graded_again,
    levels_apart,
    mean_score,
    total_variation,
    variation_of,
    weighted_kappa,
    weighted_kappa_of,
)
from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.facts import read_relations
from recollect.probe.levels import Floats

_STEPS = np.arange(5)
Names = np.ndarray[Any, np.dtype[np.str_]]


def compare_levels(
    paths: Sequence[Path], names: Sequence[str] = (), *, out: Path | None = None, root: Path = DEFAULT_ROOT
) -> LevelsResult:
    """Compare what models know by their finished probes of the same facts, with no model; a step with levels.parquet.

    names: of the models; by default the folders'. Raises InputError for fewer than two probes, for steps of another
    kind, for probes without a fact in common, and for those judged in different ways.

    Examples:
        `sampled` is the folder of a `run_probe`.

        >>> from recollect import ProbeSettings, compare_levels, run_probe
        >>> again = run_probe(ProbeSettings.make(limit=20, templates=2, method="sampled", seed=1)).path
        >>> found = compare_levels([sampled, again], ["one", "again"]).found
        >>> found.n, [one.name for one in found.models]
        (20, ['one', 'again'])
    """
    probes, notes = read_probes(paths, names)
    settings = {"names": [one.name for one in probes]}
    with open_step("levels", settings, {"probes": [one.manifest.fingerprint for one in probes]}, out, root) as step:
        if not step.done:
            step.write_table("levels.parquet", _facts_table(probes))
            found = levels_found(probes, notes)
            step.finish(found.model_copy(update={"sources": {one.name: str(one.path.absolute()) for one in probes}}))
        return LevelsResult(step.path)


def levels_found(probes: Sequence[Probed], notes: Sequence[str] = ()) -> LevelsFound:
    """The numbers of probes of the same facts."""
    return LevelsFound(
        models=tuple(_shares(one) for one in probes),
        pairs=tuple(_pair(one, other) for one, other in combinations(probes, 2)),
        n=probes[0].levels.height,
        notes=tuple(notes),
    )


def _facts_table(probes: Sequence[Probed]) -> pl.DataFrame:
    facts = probes[0].levels.select("fact_id", "part", "relation", "subject", "object")
    columns: dict[str, pl.Series] = {}
    for at, one in enumerate(probes, 1):
        columns[f"level_{at}"] = one.levels["level"]
        if one.grades == "expected":
            columns[f"expected_{at}"] = pl.Series(one.used @ _STEPS)
    return facts.with_columns(**columns)


def _shares(one: Probed) -> LevelShares:
    used, units = one.used, one.units
    return LevelShares(
        name=one.name,
        model=str(one.manifest.inputs.get("model", "")),
        grades=one.grades,
        shares=tuple(_share(used[:, level], units) for level in range(5)),
        known=_share(_known(used), units),
        mean_level=float((used @ _STEPS).mean()),
        repeat=None if one.fresh is None else _repeat(used, one.fresh),
    )


def _repeat(used: Floats, fresh: Floats) -> Repeat:
    again = graded_again(fresh)
    variation, apart = (of(again, used.mean(axis=0)) for of in (variation_of, apart_of))
    table = used.T @ fresh
    return Repeat(
        total_variation=float(variation.mean()),
        total_variation_most=float(np.quantile(variation, SURE)),
        levels_apart=float(apart.mean()),
        levels_apart_most=repeat_apart(used, again),
        kappa_known=weighted_kappa_of(_two_by_two(table)),
        kappa_levels=weighted_kappa_of(table),
    )


def _pair(one: Probed, other: Probed) -> LevelPair:
    first, second = one.used, other.used
    knows, knows_too = _known(first), _known(second)
    table, units = first.T @ second, one.units
    return LevelPair(
        first=one.name,
        second=other.name,
        n=len(first),
        total_variation=total_variation(first, second, units=units),
        levels_apart=levels_apart(first, second, units=units),
        difference=_difference(first, second, units),
        both=_share(knows * knows_too, units),
        first_alone=_share(knows * (1 - knows_too), units),
        second_alone=_share((1 - knows) * knows_too, units),
        neither=_share((1 - knows) * (1 - knows_too), units),
        kappa_known=weighted_kappa(_two_by_two(table)),
        kappa_levels=weighted_kappa(table),
        table=tuple(tuple(row) for row in table.tolist()),
        relations=_relations(one.levels["relation"], first, second, np.asarray(units)),
    )


def _relations(relations: pl.Series, first: Floats, second: Floats, units: Names) -> tuple[RelationPair, ...]:
    """In the order of the facts."""
    shipped, found = read_relations(None), []
    for relation in relations.unique(maintain_order=True):
        rows = (relations == relation).to_numpy()
        one, other, own = first[rows], second[rows], units[rows].tolist()
        knows, knows_too = _known(one), _known(other)
        found.append(
            RelationPair(
                relation=relation,
                name=shipped[relation].name if relation in shipped else relation,
                n=len(one),
                known_first=_share(knows, own),
                known_second=_share(knows_too, own),
                both=float((knows * knows_too).mean()),
                neither=float(((1 - knows) * (1 - knows_too)).mean()),
                difference=_difference(one, other, own) if len(one) >= LEAST_PER_LEVEL else None,
            )
        )
    return tuple(found)


def _known(grades: Floats) -> Floats:
    known: Floats = np.clip(1 - grades[:, 0], 0.0, 1.0)
    return known


def _share(scores: Floats, units: Sequence[str]) -> Estimate:
    found = np.clip(scores, 0.0, 1.0).tolist()
    return by_cluster(mean_score([found], 0.0, 1.0), found, units)


def _difference(first: Floats, second: Floats, units: Sequence[str]) -> Estimate:
    found = np.clip((second - first) @ _STEPS, -4.0, 4.0).tolist()
    return by_cluster(mean_score([found], -4.0, 4.0), found, units, least=-4.0, most=4.0)


def _two_by_two(table: Floats) -> Floats:
    """Level 0 against all others, both ways."""
    return np.array([[table[0, 0], table[0, 1:].sum()], [table[1:, 0].sum(), table[1:, 1:].sum()]])
