"""Which way to grade the facts, by what the first facts show: the cheapest that agrees with full probes as asked.

The first facts were drawn from plainly, and their closed form is known. So each draw either came at once, with a
probability that is known, or tells of the rest: all that the closed form, the hybrid and plain draws see of a fact.

Notable choices
- The rates of each template are drawn from what the first facts leave open (the model of `agreement`), many times over;
  in each of these worlds every way grades the facts, and two probes of the studies do. That gives agreement and error
  of each way with the template spread, the late answers and the stopping rule in them.
- The asked-for agreement is relative to what two probes of the studies agree on: no way reaches what they do not. A way
  is taken if its expected loss on the first facts and one standard error of it are no more than asked for: few facts
  are a sample, and the best-looking of several ways is taken for better than it is.
- Cost is counted in tokens: prompts (anew in each round) and forms as they are, drawn ones threefold (they come one
  after the other), where draws say the same once. Seconds would choose otherwise on a busy day.
- Where many answers come late, or may by the few hits seen, the closed form alone is not taken, nor the hybrid for few
  facts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recollect.probe.agreement import FEW_FACTS, LITTLE_LATE, rest_rates
from recollect.probe.levels import Floats, level_of
from recollect.probe.settings import Candidate, Choice, ProbeSettings
from recollect.probe.stopping import StoppingRule, stopping_rule

_WORLDS = 200
_SURER = (0.9, 0.95)
_RESIDUAL = (1, 2, 4)
_ERRORS = 1.0  # standard errors of the pilot between what a way is expected to lose and what it loses at most
_DRAWN = 3.0  # read tokens that cost as much as a drawn one; SmolLM2 on a processor, 1,500 and 500 a second


@dataclass(frozen=True)
class Pilot:
    """The first facts: shapes [facts, templates], and mean tokens."""

    p0: Floats
    late: Floats
    """Hits among the draws that did not come at once."""
    rest: Floats
    """Those draws."""
    draws: Floats
    prompts: float
    """Tokens of all prompts of a fact."""
    forms: float
    """Tokens of the accepted forms after all of them."""
    plain: float
    """Tokens of a plain draw."""
    beside: float
    """Tokens of a draw that did not come at once."""
    parting: float
    """n draws of a prompt cost as much as n ** parting that share nothing; from the first two."""

    @classmethod
    def of(cls, rows: pl.DataFrame, prompts: float, forms: float) -> Pilot:
        """From the rows of the first facts, all templates of each."""
        rows = rows.sort("fact", "template")
        shape = (rows["fact"].n_unique(), -1)
        p0, hits, draws, at_once = (
            rows[name].to_numpy().astype(np.float64).reshape(shape) for name in ("p0", "hits", "draws", "at_once")
        )
        rest = draws - at_once
        plain = float(rows["tokens"].sum() / draws.sum())
        beside = float(rows["rest_tokens"].sum() / rest.sum()) if rest.sum() else plain
        paired = rows.filter(pl.col("draws") >= 2)
        alone = 2 * plain * len(paired)
        both = float(paired["pair_tokens"].sum())
        parting = float(np.clip(1 + np.log2(both / alone), 0, 1)) if both and alone else 1.0
        # a draw at once is a hit, but for a form that more letters would make another word
        late = np.clip(hits - at_once, 0, rest)
        return cls(p0, late, rest, draws, prompts, forms, plain, beside, parting)

    def cost(self, tokens: float, draws: float) -> float:
        """Of so many draws, each of so many tokens, after all prompts of a fact."""
        return float(_DRAWN * self.p0.shape[1] * tokens * draws**self.parting)

    @property
    def most_late(self) -> float:
        """Share of the right answers that come late, with one standard error: few hits do not show that none do."""
        late, at_once = float(self.late.sum()), float((self.p0 * self.draws).sum())
        most = late + 1 + float(np.sqrt(late))
        return most / (most + at_once)

    @property
    def score(self) -> Floats:
        """R of each fact, unbiased but for the stopping rule [facts]."""
        found: Floats = (self.p0 + self.late / self.draws).mean(axis=1)
        return found


def choose(pilot: Pilot, settings: ProbeSettings, facts: int, excluding: bool) -> Choice:
    """The choice for so many facts in all; `excluding`: whether the engine can draw beside the answers at once."""
    worlds = _Worlds(pilot, settings, facts)
    candidates = [worlds.sampled(), worlds.closed_form()]
    candidates += [worlds.adaptive(settled) for settled in sorted({settings.settled, *_SURER})]
    if excluding:
        candidates += [worlds.hybrid(draws) for draws in sorted({*_RESIDUAL, settings.residual_samples})]
    total = float(pilot.score.sum())
    share = float(pilot.p0.mean(axis=1).sum()) / total if total else 0.0
    at_once = round(share, 4) if total else None
    # late answers need draws, and facts enough to see how they are distributed
    unable = set()
    if pilot.most_late > LITTLE_LATE:
        unable = {"closed-form", "hybrid"} if facts < FEW_FACTS else {"closed-form"}
    able = [one for one in candidates if one.way not in unable]
    taken = _cheapest(able, settings, most=True)
    return Choice(
        taken=taken,
        way=taken.way,
        why=_why(taken, settings, at_once, candidates),
        pilot=len(pilot.p0),
        clear=taken.words == _cheapest(able, settings, most=False).words,
        share_at_once=at_once,
        candidates=sorted(candidates, key=lambda one: one.tokens),
    )


def _cheapest(candidates: list[Candidate], settings: ProbeSettings, most: bool) -> Candidate:
    """Of those that lose no more than asked, at most (with the pilot's own error) or as expected."""
    reaching = [
        one
        for one in candidates
        if one.way == "sampled" or ((one.most_loss if most else one.loss) or 0.0) <= settings.agreement_loss
    ]
    return min(reaching, key=lambda one: (one.tokens, one.words))


def _why(taken: Candidate, settings: ProbeSettings, at_once: float | None, candidates: list[Candidate]) -> str:
    late = "no right answer was seen" if at_once is None else f"{100 * at_once:.0f} % of the right answers come at once"
    full = next(one for one in candidates if one.way == "sampled")
    if taken.way == "sampled":
        return f"{late}; no cheaper way comes within {100 * settings.agreement_loss:g} points of two full probes"
    error = 100 * (taken.agreement_error or 0.0)
    return (
        f"{late}; expected to give {100 * taken.agreement:.0f} ± {error:.0f} % of the facts the level of a fresh full "
        f"probe (another full probe: {100 * full.agreement:.0f} %) for {100 * taken.tokens / full.tokens:.0f} % of its "
        "tokens"
    )


class _Worlds:
    """Possible rates of the first facts, and how each way fares there; shapes [worlds, facts, templates]."""

    def __init__(self, pilot: Pilot, settings: ProbeSettings, facts: int) -> None:
        self.pilot, self.samples = pilot, settings.samples
        self.templates = pilot.p0.shape[1]
        self.total = self.templates * self.samples
        self.random = np.random.default_rng([settings.seed % 2**32, 15])
        self.rest = rest_rates(pilot.p0, pilot.late, pilot.rest, settings.samples, self.random, _WORLDS)
        self.rates = pilot.p0 + (1 - pilot.p0) * self.rest
        self.full: Floats | None = None
        first = len(pilot.p0)
        # of a mean over all the facts, to which the first belong
        self.per_root = float(np.sqrt(max(0.0, 1 - first / facts) / first))
        self.fresh = self._levels(self.random.binomial(self.samples, self.rates).mean(axis=2) / self.samples)

    def sampled(self) -> Candidate:
        """The studies' probe itself."""
        score = self.random.binomial(self.samples, self.rates).mean(axis=2) / self.samples
        tokens = self.pilot.prompts + self.pilot.cost(self.pilot.plain, self.samples)
        return self._candidate(score, tokens, way="sampled")

    def closed_form(self) -> Candidate:
        """What comes at once, and nothing else."""
        score = np.broadcast_to(self.pilot.p0.mean(axis=1), self.fresh.shape)
        return self._candidate(score, self.pilot.prompts + self.pilot.forms, way="closed-form")

    def hybrid(self, draws: int) -> Candidate:
        """The closed form, and so many draws beside it after each template."""
        rest = self.random.binomial(draws, self.rest) / draws
        score = (self.pilot.p0 + (1 - self.pilot.p0) * rest).mean(axis=2)
        tokens = self.pilot.prompts + self.pilot.forms + self.pilot.cost(self.pilot.beside, draws)
        return self._candidate(score, tokens, way="hybrid", residual_samples=draws)

    def adaptive(self, settled: float) -> Candidate:
        """Plain draws until the level is settled."""
        rule = stopping_rule(self.templates, self.samples, settled)
        score, tokens = self._in_rounds(rule)
        return self._candidate(score, tokens, way="adaptive", settled=settled)

    def _in_rounds(self, rule: StoppingRule) -> tuple[Floats, float]:
        """R, and the mean tokens of a fact."""
        hits, draws = np.zeros(self.fresh.shape), np.zeros(self.fresh.shape)
        going, before, tokens = np.ones(self.fresh.shape, dtype=bool), 0, 0.0
        for end, stops in zip(rule.ends, rule.stops, strict=True):
            tokens += float(going.mean()) * (self.pilot.prompts + self.pilot.cost(self.pilot.plain, end - before))
            new = self.random.binomial(end - before, self.rates).sum(axis=2)
            hits += np.where(going, new, 0)
            draws[going] = end * self.templates
            going &= ~np.array(stops)[np.minimum(hits.astype(int), len(stops) - 1)]
            before = end
        return hits / draws, tokens

    def _levels(self, score: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return level_of(score, self.total)

    def _candidate(self, score: Floats, tokens: float, **named: object) -> Candidate:
        error = np.sqrt(((score - self.rates.mean(axis=2)) ** 2).mean())
        same = (self._levels(score) == self.fresh).mean(axis=0)
        if self.full is None:  # sampled comes first
            self.full = same
        lost = self.full - same
        loss = float(lost.mean())
        return Candidate(
            agreement=round(float(same.mean()), 4),
            agreement_error=round(float(same.std(ddof=1)) * self.per_root, 4),
            loss=round(loss, 4),
            most_loss=round(loss + _ERRORS * float(lost.std(ddof=1)) * self.per_root, 4),
            error=round(float(error), 4),
            tokens=round(tokens, 1),
            **named,
        )
