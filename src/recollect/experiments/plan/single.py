"""The plans of one step: a probe, a training."""

from __future__ import annotations

from pathlib import Path

from recollect.chat.asking import settled
from recollect.core.workspace import DEFAULT_ROOT
from recollect.evaluate import EvaluateSettings
from recollect.experiments.plan.calibrate import Trial
from recollect.experiments.plan.counts import probe_rows, probed_facts
from recollect.experiments.plan.found import Assume, Plan
from recollect.experiments.plan.ground import Ground, Item, Sizes, made, with_lengths
from recollect.experiments.plan.known import KnownFacts, know_facts, know_model
from recollect.experiments.plan.memory import (
    Asked,
    Stored,
    asking_bytes,
    checkpoint_bytes,
    held_now,
    stored_bytes,
    training_bytes,
)
from recollect.experiments.plan.there import earlier_choice, single_there
from recollect.experiments.plan.work import Lengths, Work, assumed_draws, probe_work, train_work
from recollect.facts import FactSet
from recollect.models import machine_of
from recollect.models.whole import bare_model, load_tokenizer
from recollect.probe import ProbeSettings, chosen_facts
from recollect.train import TrainSettings, training_machine
from recollect.train.examples import learn, read_source


def plan_probe(
    settings: ProbeSettings, out: Path | None = None, root: Path = DEFAULT_ROOT, assume: Assume | None = None
) -> Plan:
    """What a probe would do; nothing is written.

    Examples:
        >>> from recollect import ProbeSettings
        >>> from recollect.experiments.plan import Assume, plan_probe
        >>> settings = ProbeSettings.make(model="nobody/has-8B", facts="elsewhere", method="sampled")
        >>> plan_probe(settings, assume=Assume(facts_count="97112")).completions
        20393520
    """
    assume = assume or Assume()
    model, facts = know_model(settings, assume.parameters), know_facts(settings.facts, assume.facts_count)
    ground = Ground(model, facts, machine_of(settings), assume, notes=(model.said, facts.said))
    ground = with_lengths(ground, settings, EvaluateSettings())
    count = probed_facts(settings, facts)
    base = "" if model.ref is None else model.ref.fingerprint
    beside = root if out is None else out.absolute().parent
    draws = assumed_draws(settings, count, earlier_choice(sorted(beside.glob("*")), base) if base else None)
    work = probe_work(settings, count, ground.lengths, draws) + Work(loads=1)
    asked = Asked(probe_rows(settings, model.vocabulary), ground.lengths.prompt + settings.max_new_tokens)
    memory = asking_bytes(model, ground.machine, asked)
    if memory is not None:
        memory += held_now(ground.machine)
    there = False
    if model.ref is not None and facts.facts is not None:
        inputs = {"model": model.ref.fingerprint, "facts": chosen_facts(facts.facts, settings).fingerprint()}
        there = single_there("probe", settings, inputs, out, root)
    trial = None if facts.facts is None or model.ref is None else Trial(settings, facts.facts, probe=settings)
    rates, notes = (None, []) if there else ground.rates(trial, memory, settings.max_new_tokens)
    disk = Stored(work.completions if settings.keep_text else 0.0, count, steps=1).bytes
    sizes = Sizes(memory, 0 if there else disk)
    return made(ground, [Item("probe", work, there)], sizes, rates, [*notes, "" if there else draws.said])


def plan_train(
    settings: TrainSettings,
    selection: Path | None = None,
    *,
    data: Path | None = None,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    assume: Assume | None = None,
) -> Plan:
    """What a training would do; nothing is written but a few updates of it in a temporary folder.

    Examples:
        `chosen` is the folder of a `run_select` of eight facts.

        >>> from recollect import TrainSettings
        >>> from recollect.experiments.plan import Assume, plan_train
        >>> plan_train(TrainSettings.make(preset="pocket"), chosen, assume=Assume(calibrate=False)).training_steps
        1
    """
    assume = assume or Assume()
    settings, source = read_source(settings, selection, data)
    model = know_model(settings, assume.parameters)
    machine = training_machine(settings)
    examples, tokens = len(source.conversations), 0.0
    lengths = Lengths()
    facts = FactSet(())
    if source.facts is not None:
        examples = source.facts.height
    notes = [model.said]
    if model.ref is not None:
        settings = settings.model_copy(update={"prompt": settled(settings.asked_in(), model.ref)})
        tokenizer = load_tokenizer(model.ref.whole, model.ref.runs_code)
        learned = learn(source, settings, tokenizer, bare_model(model.ref.whole, model.ref.runs_code).config)
        examples = len(learned.examples)
        tokens = sum(len(ids) for ids, _ in learned.examples) / examples
        lengths = Lengths(question=tokens, answer=0.0, measured=True)
    ground = Ground(model, KnownFacts(facts, facts.counts()), machine, assume, lengths, notes=tuple(notes))
    work = train_work(settings, examples, lengths) + Work(loads=1)
    memory = training_bytes(model, settings, machine, lengths.question + lengths.answer)
    if memory is not None:
        memory += held_now(machine)
    there = False
    if model.ref is not None:
        there = single_there("train", settings, {"model": model.ref.fingerprint, **source.inputs}, out, root)
    trial = None if model.ref is None else Trial(settings, facts, train=settings, selection=selection, data=data)
    rates, more = (None, []) if there else ground.rates(trial, memory)
    weights = stored_bytes(model, settings)
    if weights is not None and settings.save_every:
        weights += checkpoint_bytes(model, settings, machine) or 0
    disk = None if weights is None else Stored(steps=1, weights=weights).bytes
    return made(ground, [Item("training", work, there)], Sizes(memory, 0 if there else disk), rates, more)
