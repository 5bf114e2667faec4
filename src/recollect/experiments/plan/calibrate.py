"""A few seconds of measuring: what a token, a completion, an update take on this machine with the very model.

Notable choices
- What runs is the code that will run: the probe's bench, the engine's greedy answers, a real training of a few updates
  in a temporary folder. Batches grow until one took long enough to be believed and its items take no less than in the
  one before, or are as large as the real ones: of four texts at a time each takes two to four times as long.
- Threads, device and number format are those of the steps. On a machine that is at other work the seconds are those of
  a busy machine: `busy` says how much longer than the processor's own time they were.
"""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from recollect.chat.asking import Asking
from recollect.core.numbers import many
from recollect.core.workspace import fingerprint
from recollect.drift.change import change
from recollect.drift.kl import divergences, head_of, hidden_states, losses
from recollect.drift.tokens import answer_readings
from recollect.engines import find_engine
from recollect.evaluate import EvaluateSettings
from recollect.evaluate.conversations import held_talks
from recollect.evaluate.prompts import longest_answer
from recollect.experiments.plan.work import Lengths, Work
from recollect.facts import FactSet, read_relations
from recollect.generate import Engine
from recollect.models import LoadedModel, ModelSettings, held_for, load, machine_of
from recollect.probe import ProbeSettings, chosen_facts
from recollect.probe.jobs import Job, make_jobs
from recollect.probe.measure import Bench, draws_per_job
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train
from recollect.weights.pair import TensorPair

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
LONG = 1.0
"""Seconds that a measurement is to take at least, where the work is not smaller."""
_MOST = 8.0
"""Seconds after which a batch is not doubled once more."""
_LEAST = 0.25
"""Of what an item took in the largest batch that was measured, what it takes in a larger one, at least."""
_LESS = 0.9
"""A batch of twice the size is worth a trial while the last doubling left less than this of an item's seconds."""
_FACTS = 48
"""Facts that are measured on, at most."""
_WEIGHTS = 20_000_000
"""Weights that are compared, at most."""
_UPDATES = 3
_WHERE = {"facts", "levels"}
"""Settings of a section that decide no rate."""


@dataclass(frozen=True)
class Rates:
    """Seconds of one of each; None where it was not measured."""

    load: float = 0.0
    self_test: float = 0.0
    read: float | None = None
    """A token of a prompt."""
    form: float | None = None
    """The closed form of a prompt that is read."""
    completion: float | None = None
    answered: float | None = None
    """A token of a greedy answer."""
    base_answer: float | None = None
    """Mean tokens of the untouched base's answers."""
    update: float | None = None
    trained: float | None = None
    """A token in an update; where an update was measured, 0."""
    training: float = 0.0
    """Beginning and ending one."""
    compared: float | None = None
    weight: float | None = None
    trainer: float = 0.0
    """Importing it, once in a process."""
    busy: float = 1.0
    """Seconds by the clock for each of the process's own, over its threads."""
    peak: int = 0
    """Bytes that the process held at most, or the GPU gave."""
    threads: int = 1
    said: str = ""

    def seconds(self, work: Work) -> float | None:
        """What work takes, one thing after the other; None where a part of it was not measured."""
        pairs = (
            (work.read, self.read),
            (work.forms, self.form),
            (work.completions, self.completion),
            (work.answered, self.answered),
            (work.updates, self.update),
            (work.trained, self.trained),
            (work.compared, self.compared),
            (work.weights, self.weight),
        )
        total = work.loads * self.load + work.trainings * self.training + work.probes * self.self_test
        for units, rate in pairs:
            if units and rate is None:
                return None
            total += units * (rate or 0.0)
        return total


def stated(tokens_per_second: float, longest: int) -> Rates:
    """From a throughput that somebody states. A completion is taken for half of the longest, a trained token for three.

    Examples:
        >>> round(stated(1000, 32).seconds(Work(completions=1000)), 3)
        16.0
    """
    token = 1 / tokens_per_second
    return Rates(
        read=token,
        form=0.0,
        completion=longest / 2 * token,
        answered=token,
        update=0.0,
        trained=3 * token,
        compared=token,
        weight=0.0,
        said=f"{tokens_per_second:,.0f} tokens a second, as stated; loading models and reading weights come on top",
    )


@dataclass(frozen=True)
class Trial:
    """What is to be measured: the settings of the steps that a plan has."""

    model: ModelSettings
    facts: FactSet
    probe: ProbeSettings | None = None
    train: TrainSettings | None = None
    asking: EvaluateSettings | None = None
    compares: bool = False
    """Whether models are compared too."""
    selection: Path | None = None
    """What is trained on; a few of the facts where neither this nor `data` is given."""
    data: Path | None = None
    varies: bool = False
    """Trainings have batches of several sizes, so what a token takes is told from what an update takes."""

    def named(self, model: str) -> set[str]:
        """Words for what of it is measured: of one model a trial that has all of another's has measured that too."""
        parts = {"probe": self.probe, "train": self.train, "asking": self.asking}
        told = {name: one.model_dump(mode="json", exclude=_WHERE) for name, one in parts.items() if one is not None}
        if self.train is not None:
            told["train"] |= {"varies": self.varies}
        words = {f"{name}:{fingerprint([model, values])}" for name, values in told.items()}
        return words | ({"compares"} if self.compares else set())


def calibrate(trial: Trial, lengths: Lengths) -> Rates:
    """Measure; what was not to be measured stays None."""
    began, own = time.perf_counter(), time.process_time()
    machine = machine_of(trial.model)
    loading = time.perf_counter()
    loaded = load(trial.model)
    _ = loaded.fingerprint
    rates = Rates(load=time.perf_counter() - loading, threads=machine.threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if trial.probe is not None:
            rates = _probing(trial, loaded, rates)
        if trial.asking is not None:
            rates = _asking(trial, held_for(trial.asking, loaded), rates)
        if trial.compares:
            rates = _comparing(trial, loaded, rates)
        if trial.train is not None:
            rates = _training(trial, loaded, lengths, rates)
    passed, spent = time.perf_counter() - began, time.process_time() - own
    return replace(
        rates,
        busy=max(1.0, passed * machine.threads / max(spent, 1e-9)),
        peak=_peak(machine.device),
        said=f"measured here in {passed:.0f} s on {machine.device} with {many(machine.threads, 'thread')}",
    )


def _probing(trial: Trial, loaded: LoadedModel, rates: Rates) -> Rates:
    assert trial.probe is not None
    probe = trial.probe
    chosen = chosen_facts(trial.facts, probe.model_copy(update={"limit": min(_FACTS, probe.limit or _FACTS)}))
    engine = find_engine(probe, loaded).load()
    started = time.perf_counter()
    engine.self_test(probe.temperature, probe.top_k)
    tested = time.perf_counter() - started
    way = "closed-form" if probe.has_closed_form and not probe.top_k else "sampled"
    relations = read_relations(Path(probe.template_file) if probe.template_file else None)
    jobs = _mixed(make_jobs(chosen, relations, engine, probe.model_copy(update={"method": way})))
    draws = {"sampled": probe.samples, "hybrid": probe.residual_samples}.get(probe.method, 3)
    most = min(len(jobs), probe.batch_size or engine.batch_size(draws_per_job(probe)))
    plain = Bench(engine, chosen, probe.model_copy(update={"method": "sampled", "samples": draws}))
    read = _per_token(engine, [job.prompt for job in jobs[:most]])
    prompt = sum(len(job.prompt) for job in jobs) / len(jobs)
    form = None
    if way == "closed-form":
        closed = Bench(engine, chosen, probe.model_copy(update={"method": "closed-form"}))
        scored = _steady(lambda some: closed.measure(some, len(some)), jobs[:most])
        form = max(scored - prompt * read, 0.1 * scored)
    drawn = _steady(lambda some: plain.measure(some, len(some)), jobs[:most])
    completion = max(drawn - prompt * read, 0.1 * drawn) / draws
    return replace(rates, self_test=tested, read=read, form=form, completion=completion)


def _asking(trial: Trial, loaded: LoadedModel, rates: Rates) -> Rates:
    assert trial.asking is not None
    asking = Asking.of(trial.asking)
    engine = asking.engine(find_engine(trial.asking, loaded).load())
    prompts, longest = _prompts(trial.asking, trial.facts, engine, loaded)
    read = rates.read or _per_token(engine, prompts)
    said: list[int] = []

    def ask(some: Sequence[Sequence[int]]) -> None:
        said[:] = [len(ids) + 1 for ids in engine.greedy(some, longest)]

    whole = _steady(ask, prompts)
    mean = sum(said) / len(said)
    tokens = sum(map(len, prompts)) / len(prompts)
    answered = max(whole - tokens * read, 0.1 * whole) / mean
    return replace(rates, read=read, answered=answered, base_answer=min(mean, float(longest)))


def _prompts(
    settings: EvaluateSettings, facts: FactSet, engine: Engine, loaded: LoadedModel
) -> tuple[list[Sequence[int]], int]:
    """A batch of prompts as they will be asked, and the most tokens that an answer may have. Where conversations are
    asked these are their answers after the turns before them, and not the conversations that are learned."""
    answers = [fact for fact in facts if fact.turns and fact.part != "train"][: settings.batch_size]
    talks = held_talks(answers) if answers else None
    if talks is not None:
        paths = talks.paths(answers, engine, [()] * len(answers))
        return [path.prompt for path in paths], longest_answer(settings, paths, engine.context)
    asking = Asking.of(settings)
    longest = 24 if settings.max_new_tokens == "auto" else settings.max_new_tokens
    return [asking.prompt(loaded.tokenizer, fact.question) for fact in facts.facts[: settings.batch_size]], longest


def _comparing(trial: Trial, loaded: LoadedModel, rates: Rates) -> Rates:
    asking = Asking.of(trial.asking) if trial.asking else Asking()
    readings = answer_readings(loaded.tokenizer, trial.facts.facts[:_FACTS], asking)
    head = head_of(loaded.model)

    def compare(some: Sequence[object]) -> None:
        these = readings[: len(some)]
        hidden = hidden_states(loaded.model, these, 64)
        targets = [one.ids[at + 1] for one in these for at in one.at]
        for _ in range(2):
            divergences(hidden, head, hidden, head)
            losses(hidden, head, targets)

    each = _steady(compare, readings)
    tokens = sum(len(one.at) for one in readings) / len(readings)
    parameters = dict(loaded.model.named_parameters())
    taken: dict[str, Tensor] = {}
    for name, one in parameters.items():
        if sum(known.numel() for known in taken.values()) < _WEIGHTS:
            taken[name] = one.detach().cpu()
    started = time.perf_counter()
    change(TensorPair(taken, {name: one + 1e-4 for name, one in taken.items()}), "all")
    weight = (time.perf_counter() - started) / sum(one.numel() for one in taken.values())
    return replace(rates, compared=each / tokens, weight=weight)


def _training(trial: Trial, loaded: LoadedModel, lengths: Lengths, rates: Rates) -> Rates:
    """Real trainings of a few updates, in a folder that goes."""
    assert trial.train is not None
    started = time.perf_counter()
    import recollect.train.trainer  # noqa: F401  # here, so that its seconds are told from those of a training

    rates = replace(rates, trainer=time.perf_counter() - started)
    update, around = _trained(trial, trial.train, loaded)
    update /= trial.train.processes  # which are taken to share the work evenly
    rates = replace(rates, update=update, trained=0.0, training=around)
    small = max(1, trial.train.batch_size // 4)
    if (
        not trial.varies
        or small == trial.train.batch_size
        or trial.train.batch_size % trial.train.gradient_accumulation
    ):
        return rates
    less, _ = _trained(trial, trial.train.model_copy(update={"batch_size": small, "gradient_accumulation": 1}), loaded)
    example = min(max(0.0, (update - less) / (trial.train.batch_size - small)), update / trial.train.batch_size)
    return replace(rates, update=update - example * trial.train.batch_size, trained=example / lengths.whole)


def _trained(trial: Trial, settings: TrainSettings, loaded: LoadedModel) -> tuple[float, float]:
    """Seconds of an update, and of what is around all of them."""
    settings = settings.model_copy(
        update={"max_steps": _UPDATES, "save_every": None, "report_to": "none", "processes": 1}
    )
    ends: list[float] = []
    with tempfile.TemporaryDirectory(prefix="recollect-plan-") as folder:
        selection = trial.selection
        if selection is None and trial.data is None:
            size = min(len(trial.facts.part("train")), settings.batch_size * _UPDATES)
            wanted = SelectSettings.make(level="random", size=size)
            selection = run_select(wanted, trial.facts, out=Path(folder) / "select").path
        started = time.perf_counter()
        run_train(
            settings,
            selection,
            data=trial.data,
            out=Path(folder) / "train",
            base=loaded,
            progress=lambda done, total: ends.append(time.perf_counter()),
        )
        whole = time.perf_counter() - started
    update = min(after - before for before, after in pairwise(ends))
    return update, max(0.0, whole - _UPDATES * update)


def _per_token(engine: Engine, prompts: Sequence[Sequence[int]]) -> float:
    """Seconds of reading one token."""
    each = _steady(lambda some: engine.greedy(some, 1), prompts)
    return each * len(prompts) / sum(map(len, prompts))


def _steady(work: Callable[[Sequence[T]], object], items: Sequence[T]) -> float:
    """Seconds of an item in a batch of all items, which are as many as a real one has.

    Reading the weights is shared by a batch, so that in a small one an item takes several times as long: batches grow
    until that is past. Where it would take too long to see, it is computed: a batch is so much, and so much an item.
    """
    size = min(4, len(items))
    work(items[:size])  # warms up
    before, first, began = math.inf, (0, 0.0), time.perf_counter()
    while True:
        started = time.perf_counter()
        work(items[:size])
        ended = time.perf_counter()
        took = ended - started
        if size >= len(items) or (took >= LONG and took / size >= _LESS * before):
            return took / size
        if ended - began >= _MOST:
            item = (took - first[1]) / (size - first[0])
            item = min(max(item, _LEAST * took / size), took / size)
            return item + (took - item * size) / len(items)
        first = first if first[0] else (size, took)
        before = took / size
        size = min(len(items), max(2 * size, int(size * 0.8 * LONG / max(took, 1e-3))))


def _mixed(jobs: Sequence[Job]) -> list[Job]:
    """In an order in which any first few are like the rest: as they come they are sorted by length."""
    step = 7919
    return sorted(jobs, key=lambda job: ((job.fact * 31 + job.template) * step) % 104_729)


def _peak(device: str) -> int:
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().rss)
    import sys

    most = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return most if sys.platform == "darwin" else 1024 * most
