"""What a search found: the typed result of its manifest, its tables, its sentences, and the best settings as a file.

The tables hold no times, so that equal searches write equal bytes.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from recollect.core.estimates import CONFIDENCE, Correlation
from recollect.core.json_object import JsonObject
from recollect.core.workspace.result import Result
from recollect.experiments.search.correlation import Summary
from recollect.experiments.search.held_out_test import Finalist, HeldOut
from recollect.experiments.search.prepare import Prepared
from recollect.experiments.search.rung_file import last_losses
from recollect.experiments.search.runner import FACTS, TRIALS, TrialRunner
from recollect.experiments.search.settings import Plan
from recollect.experiments.search.space import Space
from recollect.experiments.search.trial import Trial, TrialValue, trial_name
from recollect.experiments.search.validation import Points
from recollect.train import TrainSettings

BEST = "best.yaml"


class FinalistFound(Result):
    """One finalist, or the baseline; scores in points."""

    trial: int
    settings: dict[str, TrialValue]
    validation: Points
    test: Points
    ood: Points | None = None
    gain: Points | None = None
    """Over the baseline, on the held-out test."""


class Mean(Result):
    """A mean over seeds, its 95 % interval, and how many seeds have it."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0


class OverSeeds(Result):
    """What several whole searches agree on."""

    seeds: tuple[int, ...]
    level: float
    cost_fraction: Mean
    early_final_correlation: Mean
    top5_overlap: Mean
    test: Mean
    baseline_test: Mean
    gain_over_baseline: Mean


class SearchFound(Result):
    """What a search found: the numbers of its manifest and of the command's JSON answer, in points."""

    best: dict[str, TrialValue]
    best_trial: int
    best_size: int | None = None
    best_level: str = ""
    validation: float
    test: float
    baseline_test: float | None = None
    base_test: float
    base_validation: float | None = None
    gain_over_baseline: Points | None = None
    gain_over_base: Points | None = None
    ood: float | None = None
    ood_gain_over_baseline: Points | None = None
    trials: int
    promoted: int
    finished: int
    degenerate: int
    failed: int
    steps: int
    full_steps: int
    cost_fraction: float | None = None
    """Updates made over those of training every trial to its end."""
    early_final_correlation: float | None = None
    """Pearson's over the finished trials; low and high bound that over all trials judged early."""
    early_final_rank_correlation: float | None = None
    early_final_correlation_low: float | None = None
    early_final_correlation_high: float | None = None
    early_final_correlation_level: float = CONFIDENCE
    early_final_pairs: int = 0
    early_final_trials: int = 0
    top5_overlap: int | None = None
    top_k: int | None = None
    top_overlap_by_chance: float | None = None
    scored_as: str = ""
    validated_as: str = ""
    finalists: tuple[FinalistFound, ...] = ()
    finalists_rank_correlation: float | None = None
    validation_over_test: Points | None = None
    warnings: tuple[str, ...] = ()
    model: str = ""
    """The folder of the best trial's training."""
    report: str = ""
    seconds: float = 0.0
    sources: dict[str, str] = {}
    """What the settings name as model, facts and levels."""
    over_seeds: OverSeeds | None = None
    """With repeats; the rest is then of the seed whose best gains most on validation."""

    @classmethod
    def of(cls, summary: Summary, held_out: HeldOut, size: int | None, level: str) -> SearchFound:
        """From a search at its end."""
        best, overlap = held_out.best, summary.overlap
        correlation = summary.correlation or Correlation(pairs=0, trials=0)
        return cls(
            best=dict(best.trial.values),
            best_trial=best.trial.number,
            best_size=size,
            best_level=level,
            validation=best.validation.value,
            test=best.test.value,
            baseline_test=None if held_out.baseline is None else held_out.baseline.test.value,
            base_test=held_out.base_test.value,
            base_validation=held_out.base_validation.value,
            gain_over_baseline=best.gain,
            gain_over_base=held_out.gain_over_base,
            ood=None if best.ood is None else best.ood.value,
            ood_gain_over_baseline=best.ood_gain,
            trials=summary.trials,
            promoted=summary.promoted,
            finished=summary.finished,
            degenerate=summary.degenerate,
            failed=summary.failed,
            steps=summary.steps,
            full_steps=summary.full_steps,
            cost_fraction=summary.cost_fraction,
            early_final_correlation=correlation.pearson,
            early_final_rank_correlation=correlation.spearman,
            early_final_correlation_low=correlation.low,
            early_final_correlation_high=correlation.high,
            early_final_pairs=correlation.pairs,
            early_final_trials=correlation.trials,
            top5_overlap=None if overlap is None else overlap.shared,
            top_k=None if overlap is None else overlap.k,
            top_overlap_by_chance=None if overlap is None else overlap.by_chance,
            scored_as=held_out.scored[1],
            validated_as=held_out.scored[0],
            finalists=tuple(_finalist(one) for one in held_out.finalists),
            finalists_rank_correlation=held_out.rank_correlation,
            validation_over_test=held_out.drop,
            warnings=held_out.warnings,
        )


def _finalist(one: Finalist) -> FinalistFound:
    trial = one.trial
    scores = {"validation": one.validation, "test": one.test, "ood": one.ood, "gain": one.gain}
    return FinalistFound(trial=trial.number, settings=dict(trial.values), **scores)


@dataclass(frozen=True)
class SearchResult:
    """A finished search: `path` holds best.yaml, report.html, the tables, the ledger and `trials/`."""

    path: Path
    found: SearchFound

    @property
    def best(self) -> Path:
        """The best settings, for `recollect train --config`."""
        return self.path / BEST

    def answer(self) -> JsonObject:
        """The command's JSON answer."""
        return {**self.found.model_dump(mode="json", exclude={"sources"}), "out": str(self.path)}

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.path / "report.html"

    def trials(self) -> pl.DataFrame:
        """One row per trial: its settings, state, scores and cost."""
        return pl.read_parquet(self.path / "trials.parquet", glob=False)

    def rungs(self) -> pl.DataFrame:
        """One row per scored rung: trial, rung, share, score."""
        return pl.read_parquet(self.path / "rungs.parquet", glob=False)

    def losses(self) -> pl.DataFrame:
        """One row per update of any trial: trial, update, share, loss."""
        return pl.read_parquet(self.path / "losses.parquet", glob=False)

    def test(self) -> pl.DataFrame:
        """The finalists by part: score, gain over the baseline, intervals, items."""
        return pl.read_parquet(self.path / "test.parquet", glob=False)


def trials_table(trials: Sequence[Trial], space: Space, plan: Plan, folder: Path) -> pl.DataFrame:
    """One row per trial: trial, state, why, reason, its settings as `set_NAME`, size_used, early, final, forecast,
    forecast_sd, steps, total_steps, start."""
    columns: dict[str, list[Any]] = {
        "trial": [one.number for one in trials],
        "state": [one.state for one in trials],
        "why": [one.why for one in trials],
        "reason": [one.reason for one in trials],
        **{f"set_{name}": [one.values.get(name) for one in trials] for name in space.parameters},
        "size_used": [size_used(folder, one.number) for one in trials],
        "early": [one.early for one in trials],
        "final": [one.scores.get(plan.last) for one in trials],
        "forecast": [one.forecast.mean if one.forecast else None for one in trials],
        "forecast_sd": [one.forecast.sd if one.forecast else None for one in trials],
        "steps": [one.steps for one in trials],
        "total_steps": [one.total_steps for one in trials],
        "start": [one.start for one in trials],
    }
    kinds = {"early": pl.Float64, "final": pl.Float64, "forecast": pl.Float64, "forecast_sd": pl.Float64}
    return pl.DataFrame(columns, strict=False).with_columns(pl.col(name).cast(kind) for name, kind in kinds.items())


def rungs_table(trials: Sequence[Trial], plan: Plan) -> pl.DataFrame:
    """One row per scored rung: trial, rung, share, score."""
    rows = [(one.number, rung, plan.rungs[rung], score) for one in trials for rung, score in sorted(one.scores.items())]
    schema = {"trial": pl.Int64, "rung": pl.Int64, "share": pl.Float64, "score": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def losses_table(trials: Sequence[Trial], folder: Path) -> pl.DataFrame:
    """One row per update: trial, update, share, loss."""
    rows = [
        (one.number, update, update / one.total_steps if one.total_steps else None, loss)
        for one in trials
        for update, loss in last_losses(folder / TRIALS / trial_name(one.number))
    ]
    schema = {"trial": pl.Int64, "update": pl.Int64, "share": pl.Float64, "loss": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_table(held_out: HeldOut) -> pl.DataFrame:
    """One row per finalist and part (validation, test, ood): trial, part, score, low, high, items, gain, gain_low,
    gain_high (over the baseline)."""
    rows = []
    for one in held_out.finalists:
        parts = (("validation", one.validation, None), ("test", one.test, one.gain), ("ood", one.ood, one.ood_gain))
        for part, score, gain in parts:
            if score is not None:
                over = (None, None, None) if gain is None else (gain.value, gain.low, gain.high)
                rows.append((one.trial.number, part, score.value, score.low, score.high, score.n, *over))
    numbers = dict.fromkeys(("score", "low", "high"), pl.Float64)
    gains = dict.fromkeys(("gain", "gain_low", "gain_high"), pl.Float64)
    schema = {"trial": pl.Int64, "part": pl.String, **numbers, "items": pl.Int64, **gains}
    return pl.DataFrame(rows, schema=schema, orient="row")


def size_used(folder: Path, trial: int) -> int | None:
    """How many examples a trial was trained on; None for one that did not come so far."""
    file = folder / TRIALS / trial_name(trial) / "select" / "selection.parquet"
    return pl.scan_parquet(file, glob=False).select(pl.len()).collect().item() if file.is_file() else None


def best_yaml(
    prepared: Prepared, runner: TrialRunner, held_out: HeldOut, size: int | None, folder: Path, tried: int
) -> str:
    """The best trial's settings as YAML for `recollect train --config`, and above them the commands to use it with,
    which name what is inside the search's `folder` where nothing else has it: levels probed, facts handed over."""
    best = held_out.best.trial
    chosen = runner.selection(best.values)
    made = runner.settings(best.values)
    defaults = TrainSettings().model_dump(mode="json")
    values: dict[str, object] = {"model": prepared.settings.model}
    for name, value in made.model_dump(mode="json").items():
        if name in ("model", "preset", "save_every"):
            continue
        if name in best.values or value != defaults[name]:
            values[name] = value
    facts = str(folder / FACTS) if prepared.handed_over else prepared.settings.facts
    select = ["recollect", "select", "--facts", facts, "--level", chosen.level, "--size", str(size)]
    levels = prepared.settings.levels if prepared.probe is None else str(folder / "probe")
    if runner.task.levels is not None:
        select += ["--levels", levels]
    if chosen.min_level_confidence:
        select += ["--min-level-confidence", str(chosen.min_level_confidence)]
    select += ["--seed", str(chosen.seed), "--out", "selection"]
    head = [
        f"# The best on validation of a search over {tried} settings: trial {best.number}, trained once.",
        *(["# But the untouched base scored as well on validation."] if held_out.base_ahead else []),
        "# Choose the examples as it did, then train:",
        f"#   {shlex.join(select)}",
        "#   recollect train --config best.yaml --selection selection --out tuned",
    ]
    plain = json.loads(json.dumps(values))  # tuples as lists
    return "\n".join(head) + "\n" + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def lines(found: SearchFound) -> Iterator[str]:
    """What a search found, in sentences."""
    settings = ", ".join(f"{name} {_short(value)}" for name, value in found.best.items())
    judged = f", by the {found.validated_as}" if found.validated_as else ""
    other = f" (the {found.scored_as})" if found.scored_as != found.validated_as else ""
    yield f"Best on validation{judged}: trial {found.best_trial} ({settings})."
    if found.base_validation is not None and found.base_validation >= found.validation:
        yield (
            f"No training did better than the untouched base on validation: it has {found.base_validation:.1f}, "
            f"the best trial {found.validation:.1f}."
        )
    gain = found.gain_over_baseline
    if found.best_trial == 0:
        yield f"Nothing tried beat the baseline on validation; it scores {found.test:.1f}{other} on unseen items."
    elif gain is not None:
        yield (
            f"On {gain.n:,} unseen items it scores {found.test:.1f}{other}, the baseline {found.baseline_test:.1f}: "
            f"{with_interval(gain, sign=True)} points, with the 95 % interval over the questions. The untouched base: "
            f"{found.base_test:.1f}. Each was trained once: how far another training seed differs is not in the "
            "interval (--repeats measures it)."
        )
    if found.cost_fraction is not None:
        yield (
            f"{found.trials} settings tried, {found.promoted} trained on, {found.degenerate} broken, "
            f"{found.failed} failed: {found.steps:,} updates, {100 * found.cost_fraction:.0f} % of "
            "training all to the end."
        )
    yield from _early_and_final(found)
    over = found.over_seeds
    if over is not None:
        yield (
            f"Over {len(over.seeds)} seeds, with the 95 % interval over seeds and questions: gain over the baseline "
            f"{with_interval(over.gain_over_baseline, sign=True)} points, cost "
            f"{100 * (over.cost_fraction.value or 0):.0f} %."
        )


def _early_and_final(found: SearchFound) -> Iterator[str]:
    """How far early scores told the final ones, as measured."""
    pairs, value = found.early_final_pairs, found.early_final_correlation
    if value is None and pairs:
        why = "at least four that differ are needed"
        yield f"How early and final scores correlate cannot be stated: {pairs} finished trials, {why}."
    if value is not None:
        yield (
            f"Early and final scores of the {pairs} finished trials: Pearson correlation {value:.2f}, rank correlation "
            f"{found.early_final_rank_correlation:.2f}. Over all {found.early_final_trials} trials judged early, "
            f"Pearson's lies between {found.early_final_correlation_low:.2f} and "
            f"{found.early_final_correlation_high:.2f} (95 % interval)."
        )
    if found.top5_overlap is not None:
        yield (
            f"Of the {found.top_k} best early, {found.top5_overlap} are among the {found.top_k} best at "
            f"the end (by chance {found.top_overlap_by_chance:.1f}; among the {pairs} finished trials)."
        )


def with_interval(value: Points | Mean | None, *, sign: bool = False) -> str:
    """A number and its interval, with a sign where it is a difference; a dash for nothing."""
    if value is None or value.value is None:
        return "–"
    form = "+.1f" if sign else ".1f"
    if value.low is None:
        return f"{value.value:{form}}"
    return f"{value.value:{form}} ({value.low:{form}} to {value.high:{form}})"


def _short(value: TrialValue) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
