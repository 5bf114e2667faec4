"""What a search found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """What a search found, in sentences."""
    settings = ", ".join(f"{name} {_short(value)}" for name, value in metrics["best"].items())
    scored_as = f", by the {metrics['scored_as']}" if metrics.get("scored_as") else ""
    found = [f"Best on validation{scored_as}: trial {metrics['best_trial']} ({settings})."]
    if metrics.get("base_validation") is not None and metrics["base_validation"] >= metrics["validation"]:
        found.append(
            f"No training did better than the untouched base on validation: it has {metrics['base_validation']:.1f}, "
            f"the best trial {metrics['validation']:.1f}."
        )
    gain = metrics["gain_over_baseline"]
    if gain is not None and metrics["best_trial"] != 0:
        found.append(
            f"On {gain['n']:,} unseen items it scores {metrics['test']:.1f}, the baseline "
            f"{metrics['baseline_test']:.1f}: {with_interval(gain, sign=True)} points, with the 95 % interval over the "
            f"questions. The untouched base: {metrics['base_test']:.1f}. Each was trained once: how far another "
            "training seed differs is not in the interval (--repeats measures it)."
        )
    elif metrics["best_trial"] == 0:
        found.append(f"Nothing tried beat the baseline on validation; it scores {metrics['test']:.1f} on unseen items.")
    if metrics["cost_fraction"] is not None:
        found.append(
            f"{metrics['trials']} settings tried, {metrics['promoted']} trained on, {metrics['degenerate']} broken, "
            f"{metrics['failed']} failed: {metrics['steps']:,} updates, {100 * metrics['cost_fraction']:.0f} % of "
            "training all to the end."
        )
    found += _early_and_final(metrics)
    if metrics["top5_overlap"] is not None:
        found.append(
            f"Of the {metrics['top_k']} best early, {metrics['top5_overlap']} are among the {metrics['top_k']} best at "
            f"the end (by chance {metrics['top_overlap_by_chance']:.1f}; among the {metrics['early_final_pairs']} "
            "finished trials)."
        )
    over = metrics.get("over_seeds")
    if over:
        found.append(
            f"Over {len(over['seeds'])} seeds, with the 95 % interval over seeds and questions: gain over the baseline "
            f"{with_interval(over['gain_over_baseline'], sign=True)} points, cost "
            f"{100 * (over['cost_fraction']['value'] or 0):.0f} %."
        )
    return found


def _early_and_final(metrics: Mapping[str, Any]) -> list[str]:
    """How far early scores told the final ones, as measured."""
    pairs, value = metrics.get("early_final_pairs", 0), metrics["early_final_correlation"]
    if value is None:
        why = "at least four that differ are needed"
        return (
            [f"How early and final scores correlate cannot be stated: {pairs} finished trials, {why}."] if pairs else []
        )
    return [
        f"Early and final scores of the {pairs} finished trials: Pearson correlation {value:.2f}, rank correlation "
        f"{metrics['early_final_rank_correlation']:.2f}. Over all {metrics['early_final_trials']} trials judged early, "
        f"Pearson's lies between {metrics['early_final_correlation_low']:.2f} and "
        f"{metrics['early_final_correlation_high']:.2f} (95 % interval)."
    ]


def with_interval(value: Mapping[str, Any] | None, *, sign: bool = False) -> str:
    """A number and its interval, with a sign where it is a difference; a dash for nothing."""
    if value is None or value["value"] is None:
        return "–"
    form = "+.1f" if sign else ".1f"
    if value["low"] is None:
        return f"{value['value']:{form}}"
    return f"{value['value']:{form}} ({value['low']:{form}} to {value['high']:{form}})"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
