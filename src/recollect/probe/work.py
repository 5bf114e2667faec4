"""The work of a probe: batches as parts of the step; with `auto` first some facts, then the choice, then the others.

Notable choices
- Which facts come first is decided by their ids alone (`first_facts`), so order and batches change neither them nor the
  choice. The choice is kept in the step's plan: a resumed run does not make it anew.
- There are as many first facts as make the choice clear: `pilot`, doubled while their own error decides it, at most
  fourfold and to two thirds of the facts. What was drawn for them stays; they are graded with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from recollect.core.random import take
from recollect.core.workspace import Step
from recollect.facts import FactSet
from recollect.generate import Engine, prefix_free
from recollect.probe.choose import Pilot, choose
from recollect.probe.jobs import Job
from recollect.probe.measure import Bench, draws_per_job
from recollect.probe.settings import Choice, ProbeSettings

Progress = Callable[[int, int], None]
_FIRST = "probe first"
_MOST = 4  # times `pilot`


@dataclass
class Parts:
    """The parts of a step, one batch after the other."""

    step: Step
    jobs: int
    progress: Progress | None
    index: int = 0
    done: int = 0
    tables: list[pl.DataFrame] = field(default_factory=list)

    def work(self, bench: Bench, jobs: Sequence[Job], size: int) -> pl.DataFrame:
        """The rows of these jobs, measured where they are not there yet."""
        first = self.index
        for batch in bench.batches(jobs, size):
            if not self.step.has_part(self.index):
                self.step.write_part(self.index, bench.measure(batch, size))
            self.index += 1
            self.done += len(batch)
            if self.progress is not None:
                self.progress(self.done, self.jobs)
        return pl.concat([self.step.read_part(index) for index in range(first, self.index)])


@dataclass(frozen=True)
class Measured:
    """All rows, and how the facts are to be graded."""

    rows: pl.DataFrame
    settings: ProbeSettings
    """With the way that was taken for `method`."""
    choice: Choice | None


def measure_all(
    step: Step, engine: Engine, facts: FactSet, jobs: Sequence[Job], settings: ProbeSettings, progress: Progress | None
) -> Measured:
    """Every job done, or read where it was done before."""
    parts = Parts(step, len(jobs), progress)
    if settings.method != "auto":
        size = step.plan["batch_size"]
        return Measured(parts.work(Bench(engine, facts, settings), jobs, size), settings, None)
    first = first_facts(facts, settings)
    scored = settings.has_closed_form and engine.scores_at(settings.temperature)
    comparing = scored and not settings.top_k and len(first) < len(facts)
    tables, first = _draw_first(parts, facts, jobs, settings, engine) if comparing else ([], set())
    if "choice" not in step.plan:
        _pin(step, _only_one(settings, facts, scored), settings, engine)
    choice = Choice.model_validate(step.plan["choice"])
    taken = _taking(choice, settings)
    others = [job for job in jobs if facts.facts[job.fact].id not in first]
    tables.append(parts.work(Bench(engine, facts, taken), others, step.plan["batch_size_then"]))
    return Measured(pl.concat(tables), taken, choice)


def _draw_first(
    parts: Parts, facts: FactSet, jobs: Sequence[Job], settings: ProbeSettings, engine: Engine
) -> tuple[list[pl.DataFrame], set[str]]:
    """The rows of the first facts and their ids: as many as make the choice clear, or made it. Pins the choice."""
    step, tables, drawn = parts.step, list[pl.DataFrame](), set[str]()
    bench = Bench(engine, facts, settings.model_copy(update={"method": "adaptive"}), pilot=True)
    size, most = settings.pilot, min(_MOST * settings.pilot, 2 * len(facts) // 3)
    while True:
        ids = first_facts(facts, settings, size)
        new = [job for job in jobs if facts.facts[job.fact].id in ids - drawn]
        tables.append(parts.work(bench, new, step.plan["batch_size"]))
        drawn, size = ids, 2 * size
        if "choice" in step.plan:
            if len(drawn) >= step.plan["choice"]["pilot"]:
                return tables, drawn
            continue
        first = [job for job in jobs if facts.facts[job.fact].id in drawn]
        choice = _compare(pl.concat(tables), first, settings, len(facts), engine)
        if choice.clear or size > most:
            _pin(step, choice, settings, engine)
            return tables, drawn


def _pin(step: Step, choice: Choice, settings: ProbeSettings, engine: Engine) -> None:
    """Keep the choice, so that a resumed run does not make it anew."""
    draws = draws_per_job(_taking(choice, settings))
    step.plan = {
        **step.plan,
        "choice": choice.model_dump(mode="json"),
        "batch_size_then": settings.batch_size or engine.batch_size(draws),
    }
    step.write_state()


def first_facts(facts: FactSet, settings: ProbeSettings, count: int | None = None) -> set[str]:
    """The ids of the facts on which `auto` compares the ways: `pilot`, or so many, which hold those of any fewer."""
    count = settings.pilot if count is None else count
    return {fact.id for fact in take(facts.facts, count, settings.facts_seed, _FIRST, lambda fact: fact.id)}


def _compare(rows: pl.DataFrame, jobs: Sequence[Job], settings: ProbeSettings, facts: int, engine: Engine) -> Choice:
    count = rows["fact"].n_unique()
    prompts = sum(len(job.prompt) for job in jobs) / count
    forms = sum(len(path) for job in jobs for path in prefix_free(job.answers)) / count
    return choose(Pilot.of(rows, prompts, forms), settings, facts, engine.draws_excluding)


def _only_one(settings: ProbeSettings, facts: FactSet, scored: bool) -> Choice:
    why = (
        f"the judge {settings.judge} is no containment of an accepted form, so there is no closed form"
        if not settings.has_closed_form
        else f"the engine has no log-probabilities at temperature {settings.temperature:g}, so there is no closed form"
        if not scored
        else "top_k leaves only plain draws"
        if settings.top_k
        else f"{len(facts):,} facts are no more than those on which the ways would be compared ({settings.pilot})"
    )
    return Choice(taken=None, way="adaptive", why=why, pilot=0)


def _taking(choice: Choice, settings: ProbeSettings) -> ProbeSettings:
    values: dict[str, object] = {"method": choice.way}
    if choice.taken is not None and choice.taken.residual_samples is not None:
        values["residual_samples"] = choice.taken.residual_samples
    if choice.taken is not None and choice.taken.settled is not None:
        values["settled"] = choice.taken.settled
    return settings.model_copy(update=values)
