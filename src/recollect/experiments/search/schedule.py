"""The scheduler: which trial to train on next. It trains nothing itself; it gives jobs out and takes outcomes.

Notable choices
- Freeze-thaw (Swersky, Snoek and Adams 2014): every trial runs to the first rung and is paused. A free worker resumes a
  paused one when that is due (the baseline, a random finisher, the share to promote), otherwise it tries new settings.
  Nobody is dismissed: who stays paused can always be resumed.
- Who is promoted: the best forecast; nobody whose chance to beat the best finished trial is under `least_chance`.
- The share to promote follows the correlation that the policy expects, by a prior and what was measured: the better
  early scores forecast, the fewer are promoted.
- Everything is decided from the trials, and the trials are in the ledger before a job is given out. So a scheduler made
  anew from its storage goes on as if it had not stopped; jobs that were at work are given out again.
- What the baseline, the random finishers and the promotions still need of the budget is kept back before new settings
  are tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import optuna

from recollect.errors import InputError
from recollect.experiments.search.correlation import Summary, summarise
from recollect.experiments.search.forecast import Outlook, look
from recollect.experiments.search.ledger import Ledger
from recollect.experiments.search.policy import Budget, Promotions
from recollect.experiments.search.prepare import starts as known_starts
from recollect.experiments.search.proposals import ForecastSampler, Settle, View, address, as_it_is, exhausted
from recollect.experiments.search.settings import Plan
from recollect.experiments.search.space import Space
from recollect.experiments.search.storage import Kept, Storage
from recollect.experiments.search.trial import Forecast, Job, Outcome, Trial, TrialValues, Why

_HOPELESS = 8
"""Trials in a row that failed before their first update, after which no new one is begun."""


@dataclass(frozen=True)
class _Resume:
    trial: Trial
    why: Why


class Scheduler:
    """One search. `starts`: points to try first, the baseline before all (default: the known good ones of the space).
    `steps`: training steps of a point's whole training, needed to keep a budget in steps exactly; without it they are
    learnt from the outcomes. `settle`: of all points that train the same, the one to try.

    Raises InputError for a budget that the baseline alone exceeds, StepError for a storage of another search.
    """

    def __init__(
        self,
        space: Space,
        plan: Plan | None = None,
        seed: int = 0,
        kept: Kept | Storage = None,
        *,
        starts: Sequence[TrialValues] | None = None,
        steps: Callable[[TrialValues], int] | None = None,
        settle: Settle = as_it_is,
    ) -> None:
        self._plan = plan = plan or Plan()
        if plan.sampler == "gp" and space.conditional:
            raise InputError("sampler gp has no place for conditional settings. Take sampler tpe or auto.")
        self._space, self._seed, self._last, self._settle = space, seed, plan.last, settle
        if starts is None:
            starts = [] if space.free else known_starts(space)
        self._starts: list[TrialValues] = []
        for start in starts:
            if (settled := settle(space.clip(start), [])) not in self._starts:
                self._starts.append(settled)
        sampler = ForecastSampler(plan.sampler, self._view, seed, self._starts, plan.startup)
        self._preview = sampler.preview
        self._budget = Budget(plan, steps)
        if self._starts:
            self._budget.check(self._starts[0])
        self._trials: list[Trial] = []
        self._out: set[int] = set()
        self._version = 0
        self._fresh_at, self._is_fresh = -1, False
        self._outlook_at, self._outlook = -1, Outlook({}, 1.0)
        self._ledger = Ledger(space, plan, seed, kept if isinstance(kept, Kept) else Kept(kept), sampler)
        try:
            self._trials = self._ledger.read()
            for trial in self._trials:
                self._narrow(trial)
            self._trials += self._ledger.rescue(len(self._starts))
            self._version += 1
        except BaseException:
            self._ledger.close()
            raise

    @property
    def trials(self) -> list[Trial]:
        """All trials by number, as they stand."""
        return list(self._trials)

    @property
    def to_start(self) -> int:
        """How many of the points to try first have not ended their first job. Nothing but the baseline is resumed
        before they are begun, so the search is the same whether they run at once or one after the other."""
        return len(self._starts) - sum(one.state != "running" or one.rung > 0 for one in self._trials)

    @property
    def space(self) -> Space:
        """The space as it is now: narrowed when a trial ran out of memory."""
        return self._space

    @property
    def repaired(self) -> str:
        """What was cut from a damaged journal, in one line; empty when nothing was."""
        return "" if self._ledger.repaired is None else self._ledger.repaired.text()

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, for its plots and importances. Do not ask or tell it."""
        return self._ledger.study

    @property
    def done(self) -> bool:
        """Is nothing under way and nothing left to do within the budget?"""
        return not any(trial.state == "running" for trial in self._trials) and self._decide() is None

    def next(self) -> Job | None:
        """A job for a free worker, or None when there is none now. A job that was given out in an earlier life, whose
        outcome was never told, comes first."""
        for trial in self._trials:
            if trial.state == "running" and trial.number not in self._out:
                return self._give(trial)
        decision = self._decide()
        if decision is None:
            return None
        if isinstance(decision, _Resume):
            return self._give(self._start(decision.trial, decision.why))
        trial = self._ledger.ask(len(self._trials) < len(self._starts))
        self._trials.append(trial)
        self._version += 1
        return self._give(trial)

    def tell(self, outcome: Outcome) -> None:
        """Take the outcome of a job that was given out. Raises InputError for any other outcome."""
        known = 0 <= outcome.trial < len(self._trials)
        before = self._trials[outcome.trial] if known else None
        if before is None or before.state != "running" or before.rung != outcome.rung:
            raise InputError(
                f"no job of trial {outcome.trial} to rung {outcome.rung} is under way"
                + (f"; the trial is {before.state} at rung {before.rung}." if before else ".")
            )
        scored = outcome.kind == "scored"
        if scored and (outcome.score is None or not math.isfinite(outcome.score)):
            raise InputError(
                f"a scored outcome must have a finite score, but got {outcome.score!r}. Tell it degenerate."
            )
        after = replace(
            before,
            steps=before.steps + outcome.steps,
            total_steps=outcome.total_steps or before.total_steps,
            seconds=before.seconds + outcome.seconds,
            reason=outcome.reason,
            items=outcome.items or before.items,
        )
        if scored:
            assert outcome.score is not None
            after = replace(after, scores={**before.scores, outcome.rung: float(outcome.score)})
            after = replace(after, state="finished" if outcome.rung == self._last else "paused")
        else:
            after = replace(after, state="degenerate" if outcome.kind == "degenerate" else "failed")
            after = replace(after, memory=outcome.kind == "memory")
        self._trials[outcome.trial] = after
        if after.state == "paused":
            after = replace(after, forecast=look(self._trials, self._plan).forecasts[after.number])
        self._put(after, before)
        self._out.discard(outcome.trial)
        self._narrow(after)

    def resume(self, number: int) -> None:
        """Have a paused trial promoted, whatever its forecast and the budget say; `next` gives the job out. Raises
        InputError when it is not paused."""
        if not 0 <= number < len(self._trials) or self._trials[number].state != "paused":
            states = {trial.number: trial.state for trial in self._trials}
            raise InputError(
                f"only a paused trial can be resumed, but trial {number} is {states.get(number, 'unknown')}."
            )
        self._start(self._trials[number], "asked")

    def forecasts(self) -> Mapping[int, Forecast]:
        """By number, the forecast final score of every trial that has a score but no final one."""
        return self._now().forecasts

    def share(self) -> float:
        """The share to promote now, by the correlation of early and final scores; of a given number of trials as
        planned until three of them are finished."""
        return self._now().share

    def spent(self) -> float | None:
        """Share of the budget in steps or hours that is spent; None without one."""
        return self._budget.spent(self._trials)

    def summary(self) -> Summary:
        """What the search has come to."""
        return summarise(self._trials, self._last, self._now().share)

    def close(self) -> None:
        """Let another loop have the study. What is under way is given out again by the next one."""
        self._ledger.close()

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decide(self) -> _Resume | Literal["new"] | None:
        """What a free worker should do now; changes nothing."""
        forced = self._forced()
        if forced is not None:
            return forced
        fresh = self._fresh()
        if fresh and len(self._trials) < len(self._starts):
            return "new"
        first = self._first()

        def affords(trial: Trial) -> bool:
            keep = self._begun(trial) if trial in first else self._owed(trial) + first
            return self._budget.affords(trial, self._trials, keep)

        due = self._promotions(ending=not fresh).next(affords)
        if due is not None:
            return _Resume(due, "forecast")
        return "new" if fresh else None

    def _first(self) -> list[Trial | None]:
        """The paused trial with the best early score, where the budget affords it: before any worse one is finished."""
        best = self._leader()
        return [best] if best is not None and self._budget.affords(best, self._trials, self._begun(best)) else []

    def _leader(self) -> Trial | None:
        return self._promotions(ending=False).leader(0) if self._last else None

    def _promotions(self, ending: bool) -> Promotions:
        return Promotions(self._trials, self.forecasts(), self._plan, self.share(), ending)

    def _forced(self) -> _Resume | None:
        """A trial that is finished whatever its forecast: the baseline, a random finisher whose time has come, or one
        of them at a middle rung."""
        for trial in self._trials:
            begun = trial.state == "paused" and trial.why in ("baseline", "random", "asked")
            if begun and self._budget.affords(trial, self._trials):
                return _Resume(trial, trial.why)
        if self._starts and self._trials and self._trials[0].state == "paused":
            if self._budget.affords(self._trials[0], self._trials):
                return _Resume(self._trials[0], "baseline")
            return None
        return self._random_due()

    def _random_due(self) -> _Resume | None:
        """A random finisher after each five scored trials, and what is missing at the end; of those that the budget
        affords."""
        wanted = self._random_left()
        scored = sum(1 for trial in self._trials if trial.scores)
        if wanted <= 0 or (scored < 5 * (self._plan.random_finishers - wanted + 1) and self._fresh()):
            return None
        first = self._first()

        def affords(trial: Trial) -> bool:
            keep = self._begun(trial) + [one for one in first if one is not trial]
            return self._budget.affords(trial, self._trials, keep)

        able = [trial for trial in self._drawable() if affords(trial)]
        drawn = min(able, key=lambda trial: address(self._seed, "finisher", trial.number), default=None)
        return None if drawn is None else _Resume(drawn, "random")

    def _drawable(self) -> list[Trial]:
        return [trial for trial in self._trials if trial.state == "paused" and not trial.why]

    def _random_left(self) -> int:
        """Random finishers still to be drawn; one that ended badly does not count."""
        drawn = sum(1 for t in self._trials if t.why == "random" and not t.broken)
        return self._plan.random_finishers - drawn if self._last else 0

    def _owed(self, besides: Trial | None = None, more: int = 0) -> list[Trial | None]:
        """Trials whose finish must be paid for before anything else; None for one that is not drawn yet."""
        begun = self._begun(besides)
        paused = sum(1 for t in self._drawable() if t is not besides and self._budget.affords(t, self._trials))
        return begun + [None] * min(max(0, self._random_left()), paused + more)

    def _begun(self, besides: Trial | None = None) -> list[Trial | None]:
        """The baseline and those who are finished whatever their forecast, as far as they are not at the last rung."""
        return [
            trial
            for trial in self._trials
            if trial.state in ("paused", "running")
            and trial.rung < self._last
            and trial is not besides
            and (trial.why in ("baseline", "random", "asked") or (bool(self._starts) and trial.number == 0))
        ]

    def _fresh(self) -> bool:
        """Is there a new point to try, and does the budget have room for it?"""
        if self._fresh_at != self._version:
            self._is_fresh, self._fresh_at = self._find_fresh(), self._version
        return self._is_fresh

    def _find_fresh(self) -> bool:
        limit = self._plan.trials
        if limit is not None and len(self._trials) >= limit:
            return False
        lately = self._trials[-_HOPELESS:]
        if len(lately) == _HOPELESS and all(trial.state == "failed" and not trial.steps for trial in lately):
            return False  # they cost nothing, so no budget would end this
        if exhausted(self._view()):
            return False
        if self._budget.endless or not self._trials:
            return True
        point, owed = self._preview(len(self._trials)), self._owed(more=1)
        if not self._last:
            return self._budget.affords_new(point, self._trials, owed)
        others: list[Trial | None] = [None] * (self._promotions(ending=True).left_with_one_more() - 1)
        best = (self._leader(), Trial(-1, point))  # either may be the one with the best early score
        return all(self._budget.affords_new(point, self._trials, [*owed, one, *others]) for one in best)

    def _view(self) -> View:
        return View(self._space, self._trials, self.forecasts(), self._last, self._settle)

    def _now(self) -> Outlook:
        """The outlook on the trials as they stand."""
        if self._outlook_at != self._version:
            self._outlook, self._outlook_at = look(self._trials, self._plan), self._version
        return self._outlook

    def _give(self, trial: Trial) -> Job:
        self._out.add(trial.number)
        return Job(trial.number, trial.rung, self._plan.rungs[trial.rung], dict(trial.values))

    def _start(self, trial: Trial, why: Why) -> Trial:
        after = replace(trial, state="running", rung=trial.rung + 1, why=why)
        self._put(after, trial)
        return after

    def _put(self, after: Trial, before: Trial) -> None:
        self._trials[after.number] = after
        self._ledger.write(after, before)
        self._version += 1

    def _narrow(self, trial: Trial) -> None:
        if trial.memory:
            self._space = self._space.narrowed(trial.values)
