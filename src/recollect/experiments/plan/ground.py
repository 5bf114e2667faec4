"""What every plan stands on: model and facts as far as they are known, their lengths in tokens, and rates."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from recollect.chat.asking import Asking
from recollect.core.machine import Machine, free_memory
from recollect.core.workspace import fingerprint
from recollect.evaluate import EvaluateSettings
from recollect.experiments.plan.calibrate import Rates, Trial, calibrate, stated
from recollect.experiments.plan.found import Assume, Plan, PlanRow
from recollect.experiments.plan.known import KnownFacts, KnownModel
from recollect.experiments.plan.work import Lengths, Work
from recollect.facts import Fact, FactSet, read_relations
from recollect.generate.encoding import prompt_ids
from recollect.models.whole import load_tokenizer
from recollect.probe import ProbeSettings

_SAMPLE = 64
BUSY = 1.5
"""From so many times the processor's own time on, the plan says that the machine is at other work."""
START = 4.0
"""Seconds of the processor in which a command begins and its libraries are imported, less the trainer's."""


@dataclass(frozen=True)
class Item:
    """A step of a plan, or several alike."""

    what: str
    work: Work
    there: bool = False
    steps: int = 1
    at_once: bool = False
    """Done in cells, of which several may run side by side."""


@dataclass(frozen=True)
class Ground:
    """What is known before anything runs."""

    model: KnownModel
    facts: KnownFacts
    machine: Machine
    assume: Assume
    lengths: Lengths = field(default_factory=Lengths)
    notes: tuple[str, ...] = ()

    def rates(self, trial: Trial | None, needed: int | None, longest: int = 32) -> tuple[Rates | None, list[str]]:
        """Measured, or stated, or none with the reason. needed: bytes of memory; longest: tokens of a completion."""
        if self.assume.tokens_per_second is not None:
            return stated(self.assume.tokens_per_second, longest), []
        if self.model.ref is None:
            return None, ["no time: nothing can be measured without the model; --tokens-per-second states its speed"]
        if trial is None:
            return None, ["no time: nothing can be measured without the facts; --tokens-per-second states the speed"]
        if not self.assume.calibrate:
            return None, ["no time: nothing was measured (--no-calibrate)"]
        if needed is not None and needed > (there := free_memory(self.machine.device)):
            return None, [
                f"no time: {needed / 1e9:,.1f} GB are needed, and {there / 1e9:,.1f} GB are free here, so nothing was "
                "measured; --tokens-per-second states the speed of another machine"
            ]
        return calibrate(trial, self.lengths), []


@dataclass(frozen=True)
class Sizes:
    """Bytes that a plan needs; None where they are not known."""

    memory: int | None
    disk: int | None
    passing: float = 0.0
    """Of the disk's, what is gone at the end."""


@dataclass
class Shared:
    """What several plans have in common, as the parts of a grid: measured and planned once."""

    rates: dict[str, Rates] = field(default_factory=dict)
    """By what was measured."""
    planned: set[str] = field(default_factory=set)
    """Steps that an earlier part makes, by all that decides them."""

    def first(self, *decides: object) -> bool:
        """Whether no earlier part makes a step."""
        key = fingerprint([str(one) for one in decides])
        new = key not in self.planned
        self.planned.add(key)
        return new

    def measured(
        self, ground: Ground, trial: Trial | None, needed: int | None, longest: int = 32
    ) -> tuple[Rates | None, list[str]]:
        """As `Ground.rates`, unless an earlier plan has measured the same, or that and more."""
        wanted = None if trial is None else trial.named(ground.model.name)
        for key, known in self.rates.items():
            if wanted is not None and wanted <= set(key.split()):
                return known, []
        rates, notes = ground.rates(trial, needed, longest)
        if rates is not None and wanted is not None:
            self.rates[" ".join(sorted(wanted))] = rates
        return rates, notes


@dataclass(frozen=True)
class Within:
    """The study of which a curve or a search is a step."""

    ground: Ground
    shared: Shared
    levels: pl.DataFrame | None
    """Of its probe, where that is there."""
    pages: bool
    """Nothing is probed."""
    folders: tuple[Path, ...]
    """Where its steps are, or would be."""
    begun: bool
    """Whether the study does something before, in the same process."""


def made(
    ground: Ground,
    items: Sequence[Item],
    sizes: Sizes,
    rates: Rates | None,
    notes: Sequence[str],
    slots: float = 1.0,
    *,
    begun: bool = False,
) -> Plan:
    """The plan of these items. slots: how many cells run side by side. begun: the process does other work before."""
    scale = 1.0
    if rates is not None and ground.assume.cores and ground.assume.tokens_per_second is None:
        scale = rates.threads / ground.assume.cores
        notes = [*notes, f"{ground.assume.cores} cores are taken to be as many times faster than one"]
    left = [item for item in items if not item.there]
    kinds = [[item for item in items if item.what == what] for what in dict.fromkeys(item.what for item in items)]
    found = [_row(mine, rates, scale / (slots if any(item.at_once for item in mine) else 1.0)) for mine in kinds]
    known = [seconds for _, seconds in found if seconds is not None]
    total = sum(known, 0.0) if len(known) == len(found) else None
    work = Work.total([item.work for item in left])
    if total is not None and left and not begun:
        total += 0.0 if rates is None or ground.assume.tokens_per_second else START * rates.busy + rates.trainer
    seconds = None if total is None else round(total, 1)
    if rates is not None and rates.busy > BUSY:
        notes = [*notes, f"the machine is at other work: all took {rates.busy:.1f} times as long as it would alone"]
    price = ground.assume.price_per_hour
    memory = sizes.memory
    if memory is not None and rates is not None and not ground.machine.device.startswith("cuda"):
        memory = max(memory, rates.peak)
    return Plan(
        rows=tuple(row for row, _ in found),
        steps=sum(item.steps for item in items),
        there=sum(item.steps for item in items if item.there),
        seconds=seconds,
        memory_bytes=memory,
        memory_of="GPU" if ground.machine.device.startswith("cuda") else "host",
        disk_bytes=sizes.disk,
        passing_bytes=round(sizes.passing),
        completions=round(work.completions),
        training_steps=round(work.updates),
        training_tokens=round(work.trained),
        price=None if price is None or seconds is None else round(seconds / 3600 * price, 4),
        priced=price is not None,
        calibration="" if rates is None else rates.said,
        busy=1.0 if rates is None else round(rates.busy, 2),
        notes=tuple(dict.fromkeys(note for note in (*ground.notes, *notes) if note)),
    )


def _row(mine: Sequence[Item], rates: Rates | None, scale: float) -> tuple[PlanRow, float | None]:
    """Steps of one kind, and their seconds, which a row has rounded; None where they are not known."""
    work = Work.total([item.work for item in mine if not item.there])
    seconds = 0.0 if work == Work() else None if rates is None else rates.seconds(work)
    seconds = None if seconds is None else scale * seconds
    steps, there = sum(item.steps for item in mine), sum(item.steps for item in mine if item.there)
    shown = None if seconds is None else round(seconds, 1)
    return PlanRow(what=mine[0].what, steps=steps, there=there, seconds=shown, detail=in_words(work)), seconds


def summed(plans: Mapping[str, Plan]) -> Plan:
    """Of the parts of a grid or a study, one after the other in one process: memory is that of the largest, and so is
    the disk that passes; all else adds up. What has the name "" is told as it is."""

    def total(name: str) -> float | None:
        values = [getattr(plan, name) for plan in plans.values()]
        return None if None in values else sum(values)

    memories = [plan.memory_bytes for plan in plans.values()]
    said: dict[str, list[str]] = {}
    for name, plan in plans.items():
        for note in plan.notes:
            said.setdefault(note, []).append(name)
    notes = [
        note if len(names) == len(plans) or "" in names else f"{', '.join(names)}: {note}"
        for note, names in said.items()
    ]
    disk, price = total("disk_bytes"), total("price")
    passing = [plan.passing_bytes for plan in plans.values()]
    one = next(iter(plans.values()))
    return Plan(
        rows=tuple(
            row.model_copy(update={"what": f"{name}: {row.what}" if name else row.what})
            for name, plan in plans.items()
            for row in plan.rows
        ),
        seconds=total("seconds"),
        memory_bytes=None if None in memories else max(known for known in memories if known is not None),
        memory_of=one.memory_of,
        disk_bytes=None if disk is None else round(disk) - sum(passing) + max(passing),
        passing_bytes=max(passing),
        price=None if price is None else round(price, 4),
        priced=one.priced,
        calibration=one.calibration,
        busy=max(plan.busy for plan in plans.values()),
        notes=tuple(notes),
        missing=tuple(f"{name}: {text}" if name else text for name, plan in plans.items() for text in plan.missing),
        **{
            name: sum(getattr(plan, name) for plan in plans.values())
            for name in ("steps", "there", "completions", "training_steps", "training_tokens")
        },
    )


def in_words(work: Work) -> str:
    """What a kind of step comes to."""
    named = (
        (work.completions, "completions"),
        (work.updates, "updates"),
        (work.trained, "tokens trained on"),
        (work.questions, "questions"),
        (work.compared, "tokens compared"),
    )
    found = [f"{count:,.0f} {what}" for count, what in named if count]
    if work.forms and not work.completions:
        found.append(f"{work.forms:,.0f} prompts")
    return ", ".join(found)


def with_lengths(ground: Ground, probe: ProbeSettings | None, asking: EvaluateSettings) -> Ground:
    """With the lengths of a sample of the facts, where a tokenizer and they are there."""
    facts = ground.facts.facts
    if ground.model.ref is None or facts is None:
        return replace(ground, notes=(*ground.notes, assumed_lengths(ground.lengths)))
    sample = _sample(facts)
    tokenizer = load_tokenizer(ground.model.ref.whole, ground.model.ref.runs_code)
    asked = Asking.of(asking)
    examples = [asked.example(tokenizer, fact.question, fact.object) for fact in sample]
    answer = sum(sum(mask) for _, mask in examples) / len(examples)
    whole = sum(len(ids) for ids, _ in examples) / len(examples)
    prompt = Lengths().prompt
    if probe is not None:
        relations = read_relations(Path(probe.template_file) if probe.template_file else None)
        texts = [
            text
            for fact in sample
            if fact.relation in relations
            for text in relations[fact.relation].prompts(fact.subject, probe.templates)
        ]
        if texts:
            prompt = sum(map(len, prompt_ids(tokenizer, texts))) / len(texts)
    return replace(ground, lengths=Lengths(prompt, whole - answer, answer, measured=True))


def assumed_lengths(lengths: Lengths) -> str:
    """What is said of lengths that were not measured."""
    return (
        f"a mapping prompt is assumed to have {lengths.prompt:.0f} tokens, a question in its prompt "
        f"{lengths.question:.0f}, an answer {lengths.answer:.0f}"
    )


def _sample(facts: FactSet) -> list[Fact]:
    every = max(1, len(facts) // _SAMPLE)
    return list(facts.facts[::every])[:_SAMPLE]


def side_by_side(
    executor: str, workers: int | None, machine: Machine, assume: Assume, remote: bool
) -> tuple[float, str]:
    """How many times faster several trainings at once are than one after the other, and what is to be said of it."""
    if executor == "here":
        return 1.0, ""
    if machine.device.startswith("cuda"):
        import torch

        return float(
            min(workers or torch.cuda.device_count(), torch.cuda.device_count()) if not remote else workers or 1
        ), ""
    if remote:
        said = f"{workers or 1} workers of the cluster are taken to be as fast as this machine each"
        return float(workers or 1), said
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1.0, min(float(workers or 2), (assume.cores or cores) / machine.threads)), ""
