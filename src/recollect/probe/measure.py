"""A batch of jobs done: counts, closed form and texts.

A batch's columns are the same for every method: `fact`, `template`, `p0` (closed form; null where draws are plain),
`draws`, `hits` (by the judge), `texts` (completions, as far as they were drawn), and of the first facts of `auto`
`at_once` (draws that start with an accepted form), `tokens` (drawn), `rest_tokens` (of the draws not at once) and
`pair_tokens` (of the first two draws, where they say the same counted once); else null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from recollect.facts import Fact, FactSet
from recollect.generate import Ask, Drawn, Engine, Sampling, prefix_free, starting_probability
from recollect.match import Answer, Asked, Judge, judge_of, settled
from recollect.probe.jobs import Job, cut
from recollect.probe.settings import ProbeSettings
from recollect.probe.stopping import stopping_rule

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "fact": pl.Int64,
    "template": pl.Int64,
    "p0": pl.Float64,
    "draws": pl.Int64,
    "hits": pl.Int64,
    "texts": pl.List(pl.String),
    "at_once": pl.Int64,
    "tokens": pl.Int64,
    "pair_tokens": pl.Int64,
    "rest_tokens": pl.Int64,
}


@dataclass(frozen=True)
class Bench:
    """What every batch is measured with; its rows depend on its jobs and on this alone."""

    engine: Engine
    facts: FactSet
    settings: ProbeSettings
    pilot: bool = False
    """Also compute the closed form of plain draws, and tell those at once from the rest."""

    @cached_property
    def _judge(self) -> Judge:
        return judge_of(self.settings.judge)

    @property
    def sampling(self) -> Sampling:
        """How draws are made."""
        given = self.settings
        return Sampling(given.temperature, given.max_new_tokens, given.top_k, given.seed)

    def batches(self, jobs: Sequence[Job], size: int) -> list[Sequence[Job]]:
        """Batches of about `size` jobs; an adaptive probe needs all prompts of a fact together."""
        if self.settings.method != "adaptive":
            return cut(jobs, size)
        longest: dict[int, int] = {}
        for job in jobs:
            longest[job.fact] = max(len(job.prompt), longest.get(job.fact, 0))
        together = sorted(jobs, key=lambda job: (longest[job.fact], job.fact, job.template))
        return cut(together, max(1, size // self.settings.templates) * self.settings.templates)

    def measure(self, jobs: Sequence[Job], size: int) -> pl.DataFrame:
        """Run one batch; `size` jobs at once where it takes several rounds."""
        if self.settings.method == "closed-form":
            return self._rows(jobs, self.closed_form(jobs))
        if self.settings.method == "adaptive":
            return (
                self._compared(jobs, self._in_rounds(jobs, size), size)
                if self.pilot
                else self._rows(jobs, self._in_rounds(jobs, size))
            )
        beside = self.settings.method == "hybrid"
        paths = self._at_once(jobs) if beside else [None] * len(jobs)
        asks = [
            Ask(job.prompt, self._fact(job).id, job.template, draws_per_job(self.settings), excluded)
            for job, excluded in zip(jobs, paths, strict=True)
        ]
        return self._rows(jobs, self._sample(jobs, asks))

    def closed_form(self, jobs: Sequence[Job]) -> list[Drawn]:
        """No draws; the probability of an answer at once."""
        forms = [prefix_free(paths) for paths in self._at_once(jobs)]
        scores = self.engine.score([job.prompt for job in jobs], forms, self.settings.temperature)
        return [Drawn((), starting_probability(*pair)) for pair in zip(forms, scores, strict=True)]

    def _in_rounds(self, jobs: Sequence[Job], size: int) -> list[Drawn]:
        """Plain draws until the level of each fact is settled (see `stopping`); jobs of a fact lie side by side."""
        rule = stopping_rule(self.settings.templates, self.settings.samples, self.settings.settled)
        draws: list[list[list[int]]] = [[] for _ in jobs]
        hits = dict.fromkeys((job.fact for job in jobs), 0)
        going, before = list(range(len(jobs))), 0
        for ended, end in enumerate(rule.ends):
            for some in cut(going, size):
                those = [jobs[at] for at in some]
                asks = [Ask(job.prompt, self._fact(job).id, job.template, end - before, first=before) for job in those]
                for at, one in zip(some, self._sample(those, asks), strict=True):
                    draws[at] += one.draws
                    hits[jobs[at].fact] += self._hits(jobs[at], [self.engine.decode(ids) for ids in one.draws])
            going = [at for at in going if not rule.stop(ended, hits[jobs[at].fact])]
            before = end
        return [Drawn(tuple(said)) for said in draws]

    def _compared(self, jobs: Sequence[Job], drawn: Sequence[Drawn], size: int) -> pl.DataFrame:
        """Plain draws beside the closed form of the same prompts."""
        closed = [one.excluded for some in cut(jobs, size) for one in self.closed_form(some)]
        more: dict[str, list[int]] = {name: [] for name in ("at_once", "tokens", "pair_tokens", "rest_tokens")}
        for paths, one in zip(self._at_once(jobs), drawn, strict=True):
            rest = [ids for ids in one.draws if not any(tuple(ids[: len(path)]) == path for path in paths)]
            more["at_once"].append(len(one.draws) - len(rest))
            more["tokens"].append(sum(map(len, one.draws)))
            more["rest_tokens"].append(sum(map(len, rest)))
            pair = {tuple(ids[: at + 1]) for ids in one.draws[:2] for at in range(len(ids))}
            more["pair_tokens"].append(len(pair))
        columns = [pl.Series(name, values, pl.Int64) for name, values in more.items()]
        return self._rows(jobs, drawn).with_columns(pl.Series("p0", closed, pl.Float64), *columns)

    def _sample(self, jobs: Sequence[Job], asks: Sequence[Ask]) -> list[Drawn]:
        def decided(at: int, ids: list[int]) -> bool:
            return settled(self.engine.decode(ids), self._fact(jobs[at]).accepted)

        # what follows an accepted form may undo the verdict of any other judge
        return self.engine.sample(asks, self.sampling, decided if self.settings.has_closed_form else None)

    def _at_once(self, jobs: Sequence[Job]) -> list[list[tuple[int, ...]]]:
        """Only a path that a completion can hold whole can come at once."""
        return [[path for path in job.answers if len(path) <= self.settings.max_new_tokens] for job in jobs]

    def _fact(self, job: Job) -> Fact:
        return self.facts.facts[job.fact]

    def _hits(self, job: Job, texts: Sequence[str]) -> int:
        return hits(self._judge, self._fact(job), texts)

    def _rows(self, jobs: Sequence[Job], drawn: Sequence[Drawn]) -> pl.DataFrame:
        texts = [[self.engine.decode(ids) for ids in one.draws] for one in drawn]
        return pl.DataFrame(
            {
                "fact": [job.fact for job in jobs],
                "template": [job.template for job in jobs],
                "p0": [one.excluded for one in drawn],
                "draws": [len(said) for said in texts],
                "hits": [self._hits(job, said) for job, said in zip(jobs, texts, strict=True)],
                "texts": texts,
                "at_once": None,
                "tokens": None,
                "pair_tokens": None,
                "rest_tokens": None,
            },
            schema=SCHEMA,
        )


def hits(judge: Judge, fact: Fact, texts: Sequence[str]) -> int:
    """How many of the texts are right answers to a fact."""
    asked = Asked(fact.question, fact.choices)
    return sum(one.right for one in judge.judge_all([Answer(text, fact.accepted, asked) for text in texts]))


def draws_per_job(settings: ProbeSettings) -> int:
    """How many draws a job takes at once, at most."""
    if settings.method in ("adaptive", "auto"):  # the latter's first facts
        ends = stopping_rule(settings.templates, settings.samples, settings.settled).ends
        return max(after - before for before, after in zip((0, *ends), ends, strict=False))
    return {"sampled": settings.samples, "hybrid": settings.residual_samples}.get(settings.method, 0)
