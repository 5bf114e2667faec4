"""What a search needs before its first trial: facts, levels, the space, what to try first, and the fixed settings.

Notable choices
- The default ranges are ours. They hold the papers' settings (docs/studies.md §3, §6) well inside; *Attribute
  Extraction* names no ranges.
- The first start is the baseline: the paper's or the pocket's preset. The gain a search reports is over it.
- Further starts are settings known to work, chosen to differ in what matters most, the learning rate first: the best
  rate for adapters is about ten times the one for all parameters (docs/studies.md §6).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from recollect.chat.asking import asked_for, chat_input, settled
from recollect.core.machine import Machine
from recollect.core.workspace import fingerprint
from recollect.engines import asked_inputs
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings
from recollect.evaluate.pages import page_task
from recollect.experiments.probed import check_asked_are_probed
from recollect.experiments.search.hold import check_alone
from recollect.experiments.search.parameters import Choice, Float, Int, Parameter
from recollect.experiments.search.settings import SearchSettings
from recollect.experiments.search.space import SELECT_NAMES, Space
from recollect.experiments.search.trial import TrialValue, TrialValues
from recollect.experiments.search.validation import units_to_split
from recollect.facts import FactSet, load_facts, read_relations
from recollect.models import ModelSettings, check_whole, machine_of, resolve
from recollect.probe import ProbeSettings, choice_inputs, forms_input
from recollect.select import SelectSettings, levels_fingerprint, read_levels
from recollect.shipped import SHIPPED, Shipped, preset_of
from recollect.train import PRESETS, TrainSettings, training_machine

Method = Literal["full", "lora"]

_LONGEST_PATH = 4096  # characters; what is longer names no file


@dataclass(frozen=True)
class Prepared:
    """A search that can begin."""

    settings: SearchSettings
    facts: FactSet
    handed_over: bool
    """The facts came from the caller, not from the place that the settings name."""
    levels: pl.DataFrame | None
    """None without levels, and where the search probes for them."""
    probe: ProbeSettings | None
    """How to probe for the levels; None where that is not done."""
    space: Space
    starts: list[TrialValues]
    train: TrainSettings
    select: SelectSettings
    evaluate: EvaluateSettings
    in_json: bool
    inputs: dict[str, str | None]
    """Fingerprints."""


def prepare(settings: SearchSettings, facts: FactSet | None = None) -> Prepared:
    """Read the facts and the space, and check that settings, space and sections fit together. Raises InputError."""
    if settings.journal is not None:
        check_place(settings.journal)
    handed_over = facts is not None
    facts = facts if facts is not None else load_facts(settings.facts)
    evaluate, in_json = evaluate_of(settings), _to_split(settings, facts)
    probed = settings.levels == "probe" and not in_json
    named = settings.levels not in ("probe", "none")
    levels = read_levels(Path(settings.levels)) if named and not in_json else None
    train = train_of(settings)
    model = resolve(train)
    train = train.model_copy(update={"prompt": settled(settings.train.asked_in(), model)})
    if asked_for(evaluate) == "auto":
        evaluate = evaluate.model_copy(update={"prompt": train.prompt})
    check_whole(model)
    known = probed or levels is not None
    shipped = SHIPPED.get(settings.model)
    space = space_of(settings, len(facts.part("train")), known, shipped)
    select = settings.select.over(level="mixed" if known else "random")
    _check(settings, space, select.level, known)
    probe = None
    if probed:
        same = {name: getattr(train, name) for name in ModelSettings.model_fields if name != "dtype"}
        probe = settings.probe.over(**same, facts=settings.facts)
        check_asked_are_probed(facts.part("test"), facts, probe, "Without levels: --levels none.")
    return Prepared(
        settings=settings,
        facts=facts,
        handed_over=handed_over,
        levels=levels,
        probe=probe,
        space=space,
        starts=starts(space, settings.method, shipped, _baseline(settings, train, select)),
        train=train,
        select=select,
        evaluate=evaluate,
        in_json=in_json,
        inputs={
            **asked_inputs(evaluate, model),
            **chat_input(train.prompt),
            "facts": facts.fingerprint(),
            "levels": "probe" if probed else None if levels is None else levels_fingerprint(levels),
            "space": space.fingerprint(),
            **_templates(probe, facts),
            **({**forms_input(probe), **choice_inputs(facts, probe)} if probe else {}),
        },
    )


def check_search(settings: SearchSettings) -> None:
    """Read the facts and the model's folder, which `prepare` does first, without torch, which takes seconds.

    Raises what that raises for them.
    """
    _to_split(settings, load_facts(settings.facts))
    resolve(train_of(settings))


def _to_split(settings: SearchSettings, facts: FactSet) -> bool:
    """Whether the facts are pages. Raises InputError for too few."""
    in_json = page_task(evaluate_of(settings), facts) is not None
    if not len(facts.part("train")):
        raise InputError(f"the fact set {facts.name!r} has no train part to choose examples from.")
    units_to_split(facts, settings.validation_share, settings.validation, by_subject=in_json)
    return in_json


def machines(settings: SearchSettings) -> tuple[tuple[str, Machine], ...]:
    """What is done on which device and in which number format, for people to read."""
    return ("training", training_machine(train_of(settings))), ("asking", machine_of(evaluate_of(settings)))


def check_place(path: Path) -> None:
    """Refuse a pipe, a device or a folder for a journal, which would be waited for or read without end, and a place
    inside a file: InputError."""
    above = next((one for one in path.absolute().parents if one.exists()), path)
    if not above.is_dir():
        raise InputError(f"storage must be a file in a folder, but got {path}, and {above} is no folder.")
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a pipe or a device"
        raise InputError(f"storage must be the path of a journal file, or a URL, but {path} is {what}.")


def _templates(probe: ProbeSettings | None, facts: FactSet) -> dict[str, str | None]:
    """The fingerprint of the templates in the probe's own file; what is shipped is the probe step's affair."""
    if probe is None or not probe.template_file:
        return {}
    relations = read_relations(Path(probe.template_file))
    used = {name: list(relations[name].templates) for name in facts.relations if name in relations}
    return {"templates": fingerprint(used)}


def train_of(settings: SearchSettings) -> TrainSettings:
    """The settings of every training. InputError for a rate or epochs that are left open."""
    preset = "B-LoRA" if settings.method == "lora" else preset_of(settings.model)
    train = settings.train.over(preset=preset, model=settings.model, seed=settings.seed)
    for name, value in (("learning_rate", train.learning_rate), ("epochs", train.epochs)):
        if value == "auto":
            raise InputError(
                f"in the search's section train: {name} must be a number, but got 'auto': a search compares settings. "
                "Leave it out for the preset's."
            )
    return train


def evaluate_of(settings: SearchSettings) -> EvaluateSettings:
    """How trained models are asked."""
    return settings.evaluate.over(model=settings.model, facts=settings.facts)


def _baseline(settings: SearchSettings, train: TrainSettings, select: SelectSettings) -> TrialValues:
    """What the sections say of the baseline: of the training the preset's values and what was given."""
    names = [*PRESETS.get(train.preset or "", {}), *settings.train.model_fields_set]
    return {name: getattr(train, name) for name in names} | select.given()


def space_of(settings: SearchSettings, most: int, levels: bool, shipped: Shipped | None) -> Space:
    """The space given, or the default one without what the sections fix."""
    given = settings.space
    if given is None:
        made = default_space(settings.method, shipped, most, levels)
        return Space({name: one for name, one in made.parameters.items() if name not in _fixed(settings)})
    if isinstance(given, str):
        text = any(mark in given for mark in "\n{[:") or len(given) > _LONGEST_PATH
        return Space.of(given if text and not os.path.isfile(given) else Path(given))  # noqa: PTH113  # pathlib raises for a long text
    return Space.of(given)


def _fixed(settings: SearchSettings) -> set[str]:
    """Settings of a trial that the sections give, so that they are not searched."""
    return settings.train.model_fields_set | settings.select.model_fields_set


def _check(settings: SearchSettings, space: Space, level: str, levels: bool) -> None:
    if twice := sorted(set(space.parameters) & _fixed(settings)):
        raise InputError(
            f"{twice[0]} is in the space and in the section {'select' if twice[0] in SELECT_NAMES else 'train'}. "
            "Leave it out of one of them."
        )
    check_alone(space.parameters, _fixed(settings))
    if levels:
        return
    wanted = getattr(space.parameters.get("level"), "options", (level,))
    if set(wanted) != {"random"}:
        raise InputError(
            f"levels must be known to choose examples by level {', '.join(map(str, wanted))}: give --levels a probe "
            "step directory, or take level random."
        )


def default_space(method: Method, shipped: Shipped | None, most: int, levels: bool) -> Space:
    """Sane ranges for a search.

    `shipped`: the small base model that comes with Recollect, whose rates are higher. `most`: how many training
    examples there are. `levels`: whether their memory levels are known.
    """
    rates = {"lora": (2e-5, 1e-3), "full": (2e-6, 1e-4)}
    if shipped:
        rates = {"lora": shipped.lora_rates, "full": shipped.rates}
    parameters: dict[str, Parameter] = {"learning_rate": Float(*rates[method], log=True)}
    if method == "lora":
        parameters |= {
            "lora_r": Int(4, 64, log=True),
            "lora_alpha": Float(8, 128, log=True),
            "lora_dropout": Float(0, 0.2),
            "lora_targets": Choice(["q_proj,v_proj", "all-linear"]),
        }
    parameters |= {
        "batch_size": Choice([4, 8, 16, 32]),
        "epochs": Choice([1, 2, 3, 4, 6] if shipped or method == "full" else [1, 2, 4, 8, 12]),
        "warmup_ratio": Float(0, 0.2),
        "schedule": Choice(["cosine", "linear"]),
    }
    if most > 30:
        parameters["size"] = Int(30, min(most, 2000), log=True)
    if levels:
        parameters["level"] = Choice(["mixed", "1,2", "2,3", "3,4", "random"])  # a best level must beat a random draw
    return Space(parameters)


def starts(
    space: Space, method: Method = "full", shipped: Shipped | None = None, fixed: TrialValues | None = None
) -> list[TrialValues]:
    """Points to try first: the baseline, then two or three known good settings, clipped into the space; no point
    twice.

    `fixed` are settings outside the space, which take part in choosing what the baseline is.
    """
    preset = "B-LoRA" if method == "lora" else shipped.preset if shipped else "C"
    base: dict[str, TrialValue] = {"size": 240, "level": "mixed", "weight_decay": 0.0, "warmup_ratio": 0.0}
    base |= {"method": method, **PRESETS[preset], **(fixed or {})}
    if method == "lora" and shipped:
        base["learning_rate"] = shipped.lora_start
    rate = float(base["learning_rate"] or 0.0)
    others: list[Mapping[str, TrialValue]] = [
        {"learning_rate": rate / 2, "epochs": 3, "level": "2,3"},
        {"learning_rate": rate * 2, "batch_size": 16, "size": 960},
        {"learning_rate": rate, "epochs": 2, "size": 60},
    ]
    if method == "lora":
        others = [
            {"learning_rate": 2 * rate, "lora_targets": "all-linear", "lora_alpha": 16.0, "epochs": 3},
            {"learning_rate": rate / 2, "lora_r": 8, "lora_alpha": 16.0, "epochs": 6},
        ]
    points: list[TrialValues] = []
    for change in ({}, *others):
        point = space.clip(base | dict(change))
        if point not in points:
            points.append(point)
    return points
