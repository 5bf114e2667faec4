"""What a search needs before its first trial: facts, levels, the space, and the fixed settings, all checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.machine import Machine
from recollect.core.workspace import fingerprint
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings
from recollect.evaluate.pages import page_task
from recollect.experiments.search.journal import check_place
from recollect.experiments.search.plan import Plan
from recollect.experiments.search.settings import SearchSettings
from recollect.experiments.search.space import SELECT_NAMES, Space
from recollect.experiments.search.start_points import default_space, starts
from recollect.facts import FactSet, load_facts, read_relations
from recollect.models import ModelSettings, check_whole, machine_of, resolve
from recollect.probe import ProbeSettings
from recollect.select import levels_fingerprint, read_levels
from recollect.shipped import SHIPPED, Shipped, preset_of
from recollect.train import PRESETS, TrainSettings, training_machine

_LONGEST_PATH = 4096  # characters; what is longer names no file
_MOVING = {"trials", "budget_steps", "budget_hours", "repeats"}
"""Settings that may be changed while a search goes on."""


@dataclass(frozen=True)
class Prepared:
    """A search that can begin."""

    settings: SearchSettings
    facts: FactSet
    levels: pl.DataFrame | None
    """None without levels, and where the search probes for them."""
    probe: ProbeSettings | None
    space: Space
    starts: list[dict[str, Any]]
    plan: Plan
    train: dict[str, Any]
    select: dict[str, Any]
    evaluate: dict[str, Any]
    in_json: bool
    inputs: dict[str, Any]

    def fingerprint_values(self) -> dict[str, Any]:
        """The settings that decide the result."""
        values = self.settings.fingerprint_values()
        return {name: value for name, value in values.items() if name not in _MOVING}


def prepare(settings: SearchSettings, facts: FactSet | None = None) -> Prepared:
    """Read the facts and the space, and check that settings, space and sections fit together. Raises InputError."""
    if settings.journal is not None:
        check_place(settings.journal)
    facts = facts if facts is not None else load_facts(settings.facts)
    evaluate = _evaluate(settings)
    in_json = page_task(evaluate, facts) is not None
    probed = settings.levels == "probe" and not in_json
    named = settings.levels not in ("probe", "none")
    levels = read_levels(Path(settings.levels)) if named and not in_json else None
    if not len(facts.part("train")):
        raise InputError(f"the fact set {facts.name!r} has no train part to choose examples from.")
    train = _train(settings)
    model = resolve(train)
    check_whole(model)
    known = probed or levels is not None
    shipped = SHIPPED.get(settings.model)
    space = _space(settings, len(facts.part("train")), known, shipped)
    select = {"level": "mixed" if known else "random", **settings.select}
    _check(settings, space, select, known)
    baseline = {name: getattr(train, name) for name in (*PRESETS.get(train.preset or "", {}), *settings.train)} | select
    probe = None
    if probed:
        same = {name: getattr(train, name) for name in ModelSettings.model_fields if name != "dtype"}
        probe = ProbeSettings.make(**{**same, **settings.probe, "facts": settings.facts})
    return Prepared(
        settings=settings,
        facts=facts,
        levels=levels,
        probe=probe,
        space=space,
        starts=starts(space, settings.method, shipped, baseline),
        plan=Plan.make(
            trials=settings.most_trials,
            budget_steps=settings.budget_steps,
            budget_hours=settings.budget_hours,
            rungs=settings.rungs,
            promote=settings.promote,
            random_finishers=settings.random_finishers,
            sampler=settings.sampler,
        ),
        train={**_given(settings), "model": settings.model},
        select=select,
        evaluate=dict(settings.evaluate),
        in_json=in_json,
        inputs={
            "model": model.fingerprint,
            "facts": facts.fingerprint(),
            "levels": "probe" if probed else None if levels is None else levels_fingerprint(levels),
            "space": space.fingerprint(),
            **_templates(probe, facts),
        },
    )


def machines(settings: SearchSettings) -> tuple[tuple[str, Machine], ...]:
    """What is done on which device and in which number format, for people to read."""
    return ("training", training_machine(_train(settings))), ("asking", machine_of(_evaluate(settings)))


def _templates(probe: ProbeSettings | None, facts: FactSet) -> dict[str, str]:
    """The fingerprint of the templates in the probe's own file; what is shipped is the probe step's affair."""
    if probe is None or not probe.template_file:
        return {}
    relations = read_relations(Path(probe.template_file))
    used = {name: list(relations[name].templates) for name in facts.relations if name in relations}
    return {"templates": fingerprint(used)}


def _given(settings: SearchSettings) -> dict[str, Any]:
    """The section train, with a preset where it names none."""
    preset = "B-LoRA" if settings.method == "lora" else preset_of(settings.model)
    return {**({} if "preset" in settings.train else {"preset": preset}), **settings.train}


def _train(settings: SearchSettings) -> TrainSettings:
    try:
        return TrainSettings.make(**{**_given(settings), "model": settings.model})
    except InputError as error:
        raise InputError(f"in the search's section train: {error}") from None


def _evaluate(settings: SearchSettings) -> EvaluateSettings:
    try:
        return EvaluateSettings.make(**{**settings.evaluate, "model": settings.model, "facts": settings.facts})
    except InputError as error:
        raise InputError(f"in the search's section evaluate: {error}") from None


def _space(settings: SearchSettings, most: int, levels: bool, shipped: Shipped | None) -> Space:
    given = settings.space
    if given is None:
        made = default_space(settings.method, shipped, most, levels)
        fixed = {*settings.train, *settings.select}
        return Space({name: one for name, one in made.parameters.items() if name not in fixed})
    if isinstance(given, str):
        text = any(mark in given for mark in "\n{[:") or len(given) > _LONGEST_PATH
        return Space.of(given if text and not os.path.isfile(given) else Path(given))  # noqa: PTH113  # pathlib raises for a long text
    return Space.of(given)


def _check(settings: SearchSettings, space: Space, select: Mapping[str, Any], levels: bool) -> None:
    twice = sorted(set(space.parameters) & {*settings.train, *settings.select})
    if twice:
        raise InputError(
            f"{twice[0]} is in the space and in the section {'select' if twice[0] in SELECT_NAMES else 'train'}. "
            "Leave it out of one of them."
        )
    if levels:
        return
    wanted = getattr(space.parameters.get("level"), "options", (select["level"],))
    if set(wanted) != {"random"}:
        raise InputError(
            f"levels must be known to choose examples by level {', '.join(map(str, wanted))}: give --levels a probe "
            "step directory, or take level random."
        )
