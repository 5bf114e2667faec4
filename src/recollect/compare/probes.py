"""Probes of several models side by side: the facts that all of them were probed on, and each model's levels of them.

Notable choices
- The studies' own draws (`sampled`) give a level. By any other method a level is a probability over the five that a
  fresh probe would give (docs/probe.md), and enters as that; where the probe does not state it, the one level counts.
- Levels by two judges, or by draws of another prompt, mean different things. The first is refused, the second is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recollect.compare.apart import Graded
from recollect.compare.asked import short_names
from recollect.compare.levels_found import Grades
from recollect.core.numbers import many
from recollect.core.workspace import Manifest, step_input
from recollect.errors import InputError
from recollect.evaluate import units_of
from recollect.probe import ProbeFound
from recollect.probe.levels import Floats

_FACT = ("fact_id", "part", "relation", "subject", "object")
_ASKED = ("templates", "samples", "temperature", "max_new_tokens", "top_k")


@dataclass(frozen=True)
class Probed:
    """One model's levels of the facts that all models were probed on."""

    name: str
    path: Path
    manifest: Manifest
    found: ProbeFound
    levels: pl.DataFrame
    """A row per fact, in the same order for every model."""

    @property
    def judge(self) -> tuple[object, object]:
        """What decided which completions are right, and its version."""
        return self.found.judge, self.manifest.inputs.get("judge") or self.manifest.inputs.get("matcher")

    @property
    def graded(self) -> Graded:
        """The numbers alone."""
        return Graded(self.levels["fact_id"].to_list(), self.used, self.fresh, self.judge, self.units)

    @property
    def units(self) -> list[str]:
        """What each fact was drawn with: itself, or its subject where one repeats."""
        return units_of(self.levels).to_list()

    @property
    def grades(self) -> Grades:
        """What of a fact's level is compared."""
        if self.found.method == "sampled":
            return "drawn"
        return "expected" if self._stated else "taken"

    @property
    def _stated(self) -> bool:
        return not self.levels["level_probabilities"].null_count()

    @property
    def used(self) -> Floats:
        """The level of each fact as probabilities, [facts, 5]."""
        if self.grades == "expected":
            return self._probabilities()
        one: Floats = np.eye(5)[self.levels["level"].to_numpy()]
        return one

    @property
    def fresh(self) -> Floats | None:
        """Probabilities of the level in a second probe of the same model; None where the probe does not state them."""
        return self._probabilities() if self._stated else None

    def _probabilities(self) -> Floats:
        found: Floats = np.array(self.levels["level_probabilities"].to_list(), dtype=float)
        found /= found.sum(axis=1, keepdims=True)
        return found


def read_probes(paths: Sequence[Path], names: Sequence[str] = ()) -> tuple[list[Probed], list[str]]:
    """Finished probes of the same facts, and notes on what is left out and what was probed otherwise.

    names: of the models, in the order of the paths; by default the folders'. Raises InputError for fewer than two, for
    one folder given twice, for steps of another kind, for probes by different judges, and for probes without a fact in
    common.
    """
    if len(paths) < 2:
        raise InputError(f"a comparison of levels needs two probes or more, but got {len(paths)}.")
    if names and (len(names) != len(paths) or len(set(names)) != len(names) or not all(map(str.strip, names))):
        raise InputError(
            f"names must be one for each of {len(paths)} probes, none empty and all different, but got {list(names)}."
        )
    places = [path.resolve() for path in paths]
    if twice := [path for path, place in zip(paths, places, strict=True) if places.count(place) > 1]:
        raise InputError(f"probes must be different ones, but {twice[0]} and {twice[1]} are one folder.")
    called = list(names) or short_names([str(path.absolute()) for path in paths])
    found = [read_probe(path, name) for path, name in zip(paths, called, strict=True)]
    for other in found[1:]:
        if found[0].judge != other.judge:
            raise InputError(
                f"{found[0].path} and {other.path} were judged in different ways ({found[0].judge} and "
                f"{other.judge}), so their levels mean different things. Probe both by the same judge and version."
            )
    kept = _same_facts(found)
    return kept, [*_left_out(found, kept[0].levels.height), *_probed_otherwise(kept), *_taken(kept)]


def read_probe(path: Path, name: str) -> Probed:
    """One finished probe. Raises InputError for a step of another kind and for a table of an old version."""
    manifest = step_input(path, "probe")
    levels = pl.read_parquet(path / "levels.parquet", glob=False)
    if missing := [one for one in (*_FACT, "level", "level_probabilities") if one not in levels.columns]:
        raise InputError(f"{path} lacks {', '.join(missing)} in levels.parquet: it is of an old version. Probe again.")
    return Probed(name, path, manifest, ProbeFound.read(path), levels)


def _same_facts(found: Sequence[Probed]) -> list[Probed]:
    common = found[0].levels.select("fact_id")
    for other in found[1:]:
        common = common.join(other.levels.select("fact_id"), on="fact_id", how="semi", maintain_order="left")
    if not common.height:
        raise InputError(
            f"{found[0].path} and {found[1].path} have no fact in common. Probe both models on the same facts, with "
            "the same limit and facts_seed."
        )
    return [
        Probed(
            one.name,
            one.path,
            one.manifest,
            one.found,
            common.join(one.levels, on="fact_id", how="left", maintain_order="left"),
        )
        for one in found
    ]


def _left_out(found: Sequence[Probed], n: int) -> list[str]:
    over = [f"{one.name} {one.levels.height - n:,} more" for one in found if one.levels.height > n]
    return [f"compared on {many(n, 'fact')} that all were probed on; left out: {', '.join(over)}"] if over else []


def _probed_otherwise(found: Sequence[Probed]) -> list[str]:
    """In what other models were probed otherwise than the first: a difference may then be the probe's."""
    notes, first = [], found[0]
    for one in found[1:]:
        settings = [(name, one.manifest.settings.get(name), first.manifest.settings.get(name)) for name in _ASKED]
        pairs = [*settings, ("prompt", one.found.prompt, first.found.prompt)]
        told = [f"{name} {value!r} for {before!r}" for name, value, before in pairs if value != before]
        told += ["other templates"] if one.manifest.inputs["templates"] != first.manifest.inputs["templates"] else []
        if told:
            notes.append(f"{one.name} was probed otherwise than {first.name}: {', '.join(told)}")
    return notes


def _taken(found: Sequence[Probed]) -> list[str]:
    return [
        f"of {one.name} each fact counts with the one level it was given, and what a second probe would differ by is "
        f"not stated: {one.found.unstated or 'the probe does not say how far a fresh one agrees'}. So no "
        "verdict is given; probes that give one: --method sampled or adaptive, or hybrid on 200 facts or more"
        for one in found
        if one.grades == "taken"
    ]
