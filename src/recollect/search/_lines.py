"""What a search found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """What a search found, in sentences."""
    settings = ", ".join(f"{name} {_short(value)}" for name, value in metrics["best"].items())
    found = [f"Best: trial {metrics['best_trial']} ({settings})."]
    gain = metrics["gain_over_baseline"]
    if gain is not None and metrics["best_trial"] != 0:
        found.append(
            f"On {gain['n']:,} unseen items it scores {metrics['test']:.1f}, the baseline "
            f"{metrics['baseline_test']:.1f}: {with_interval(gain, sign=True)} points. The untouched base: "
            f"{metrics['base_test']:.1f}."
        )
    elif metrics["best_trial"] == 0:
        found.append(f"Nothing tried beat the baseline on validation; it scores {metrics['test']:.1f} on unseen items.")
    if metrics["cost_fraction"] is not None:
        found.append(
            f"{metrics['trials']} settings tried, {metrics['promoted']} trained on, {metrics['degenerate']} broken, "
            f"{metrics['failed']} failed: {metrics['steps']:,} updates, {100 * metrics['cost_fraction']:.0f} % of "
            "training all to the end."
        )
    if metrics["early_final_correlation"] is not None:
        found.append(
            f"Correlation of early and final scores {metrics['early_final_correlation']:.2f} "
            f"({metrics['early_final_correlation_low']:.2f} to {metrics['early_final_correlation_high']:.2f}, from "
            f"{metrics['early_final_pairs']} finished trials)."
        )
    if metrics["top5_overlap"] is not None:
        found.append(
            f"Of the {metrics['top_k']} best early, {metrics['top5_overlap']} are among the {metrics['top_k']} best at "
            f"the end (by chance {metrics['top_overlap_by_chance']:.1f}; among finished trials)."
        )
    over = metrics.get("over_seeds")
    if over:
        found.append(
            f"Over {len(over['seeds'])} seeds: gain over the baseline "
            f"{with_interval(over['gain_over_baseline'], sign=True)} points, cost "
            f"{100 * (over['cost_fraction']['value'] or 0):.0f} %."
        )
    return found


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
