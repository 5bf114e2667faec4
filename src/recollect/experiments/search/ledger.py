"""The Optuna study as the search's ledger: every trial, what it is waiting for, and why.

Notable choices
- A finished trial is COMPLETE with its final score, a degenerate one PRUNED, a failed one FAIL. A paused trial stays
  RUNNING in Optuna's eyes, with the attribute state = paused: Optuna cannot take a trial back that it was told of.
- The attribute `record` holds all that the scheduler knows of a trial and is written in one piece, after the other
  attributes, which are for readers. A process killed before it has lost nothing but the job at work, which is given out
  again; what was half written is written again.
- The intermediate value of step 20 is the score at 20 % of the training, so Optuna's plots and dashboard show curves.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import TrialState

from recollect.errors import StepError
from recollect.experiments.search.journal import Repair, held, repair
from recollect.experiments.search.proposals import suggest
from recollect.experiments.search.settings import Plan
from recollect.experiments.search.space import Space
from recollect.experiments.search.storage import Kept, leased, open_storage, quiet, told_in_one_line
from recollect.experiments.search.trial import Forecast, Trial, TrialValues

_FORMAT = 2  # 2: levels with too few facts do not enter a score
_SHOWN = ("state", "rung", "why", "reason", "memory", "start", "steps", "total_steps", "seconds", "items")


class Ledger:
    """A study opened for one loop.

    A journal that was cut short or garbled is repaired first; `repaired` says how. Raises StepError when the study is
    of another space, seed or plan, another loop is at work on it, or the storage cannot be read.
    """

    def __init__(self, space: Space, plan: Plan, seed: int, kept: Kept, sampler: optuna.samplers.BaseSampler) -> None:
        self._space, self._rungs, self._place = space, plan.rungs, kept.storage
        self.repaired: Repair | None = None
        with ExitStack() as lock:
            if isinstance(kept.storage, Path):
                lock.enter_context(held(kept.storage))
                self.repaired = repair(kept.storage)
            with told_in_one_line(kept.storage, opening=True), quiet():
                opened = self._storage = optuna.storages.get_storage(open_storage(kept.storage))
                self.study: Study = optuna.create_study(
                    storage=opened, sampler=sampler, study_name=kept.study, direction="maximize", load_if_exists=True
                )
                if not isinstance(kept.storage, Path) and not isinstance(opened, InMemoryStorage):
                    lock.enter_context(leased(self.study))
                self._claim(space, plan, seed)
            self._lock = lock.pop_all()

    def _claim(self, space: Space, plan: Plan, seed: int) -> None:
        """Write what the study is of, or compare with what stands there."""
        kept = {name: value for name, value in plan.model_dump(mode="json").items() if name not in Plan.may_change}
        mine: dict[str, Any] = {"format": _FORMAT, "space_fingerprint": space.fingerprint(), "seed": seed, "plan": kept}
        there = self.study.user_attrs
        if "space_fingerprint" in there:
            if there["space_fingerprint"] != mine["space_fingerprint"]:
                raise StepError(
                    "the study is of another search space:\n"
                    f"{there.get('space', '')}\nGive the search another folder or study, or that space."
                )
            for key in ("format", "seed", "plan"):
                if there.get(key) != mine[key]:
                    raise StepError(
                        f"the study was begun with {key} {there.get(key)}, but this search has {mine[key]}. Give it "
                        "another folder or study; only the budget (trials, steps, hours) may change."
                    )
        elif self.study.get_trials(deepcopy=False):
            raise StepError(
                f"study {self.study.study_name!r} has trials that are not ours. Give the search another study."
            )
        else:
            for key, value in mine.items():
                if key != "space_fingerprint":
                    self.study.set_user_attr(key, value)
            self.study.set_user_attr("space", space.to_yaml())
            self.study.set_user_attr("space_fingerprint", mine["space_fingerprint"])
        self.study.set_user_attr("budget", plan.model_dump(mode="json", include=Plan.may_change))

    def ask(self, start: bool) -> Trial:
        """A new trial, proposed by the study's sampler."""
        with told_in_one_line(self._place):
            return self._born(self.study.ask(), start)

    def _born(self, asked: optuna.Trial, start: bool) -> Trial:
        trial = Trial(asked.number, suggest(self._space, asked), start=start)
        self.write(trial)
        return trial

    def read(self) -> list[Trial]:
        """All trials by number, but for one that was half made when its process died; `rescue` makes that whole."""
        trials = []
        with told_in_one_line(self._place, opening=True):
            for frozen in self.study.get_trials(deepcopy=False):
                if "record" in frozen.user_attrs:
                    trials.append(self._of(frozen))
                    self._settle(trials[-1], frozen.state)
        return trials

    def rescue(self, starts: int) -> list[Trial]:
        """Make whole what `read` left out. The sampler draws what it drew before, so it must see the others first."""
        return [
            self._born(optuna.Trial(self.study, frozen._trial_id), frozen.number < starts)
            for frozen in self.study.get_trials(deepcopy=False)
            if "record" not in frozen.user_attrs
        ]

    def _of(self, frozen: optuna.trial.FrozenTrial) -> Trial:
        record = frozen.user_attrs["record"]
        forecast = record["forecast"]
        return Trial(
            number=frozen.number,
            values=dict(self._in_order(frozen.params)),
            scores={int(rung): score for rung, score in record["scores"].items()},
            forecast=Forecast(**forecast) if forecast else None,
            **{name: record[name] for name in _SHOWN},
        )

    def _in_order(self, params: TrialValues) -> TrialValues:
        return {name: params[name] for name in self._space.parameters if name in params}

    def _score_names(self) -> dict[int, str]:
        return {rung: f"score_{100 * share:g}" for rung, share in enumerate(self._rungs)}

    def write(self, trial: Trial, before: Trial | None = None) -> None:
        """Write a trial; with `before`, only what differs from it. StepError when the storage fails."""
        with told_in_one_line(self._place):
            self._write(trial, before)

    def _write(self, trial: Trial, before: Trial | None) -> None:
        storage = self._storage
        study = storage.get_study_id_from_name(self.study.study_name)
        identity = storage.get_trial_id_from_study_id_trial_number(study, trial.number)
        names = self._score_names()
        new, old = _attributes(trial, names), _attributes(before or Trial(trial.number, trial.values), names)
        for rung, score in trial.scores.items():
            if before is None or before.scores.get(rung) != score:
                storage.set_trial_intermediate_value(identity, round(100 * self._rungs[rung]), score)
        for key, value in new.items():
            if key not in old or old[key] != value or (key == "state" and before is None):
                storage.set_trial_user_attr(identity, key, value)
        record = {name: new[name] for name in (*_SHOWN, "forecast")} | {"scores": dict(trial.scores)}
        storage.set_trial_user_attr(identity, "record", record)
        if before is None or before.state != trial.state:
            self._settle(trial, TrialState.RUNNING)

    def _settle(self, trial: Trial, state: TrialState) -> None:
        """Tell Optuna of a trial's end, if it has one and was not told."""
        if state.is_finished():
            return
        if trial.state == "finished":
            self.study.tell(trial.number, trial.scores[len(self._rungs) - 1])
        elif trial.state == "degenerate":
            self.study.tell(trial.number, state=TrialState.PRUNED)
        elif trial.state == "failed":
            self.study.tell(trial.number, state=TrialState.FAIL)

    def close(self) -> None:
        """Let other loops in."""
        self._lock.close()


def _attributes(trial: Trial, names: Mapping[int, str]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: getattr(trial, name) for name in _SHOWN}
    shown["forecast"] = asdict(trial.forecast) if trial.forecast else None
    return shown | {names[rung]: score for rung, score in trial.scores.items()}
