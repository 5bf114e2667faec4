"""An invented drift chapter: realistic in shape, made by formula, never measured."""

from __future__ import annotations

import math
from typing import Any

TOP = {"1": 0.74, "3": 0.81, "5": 0.845, "10": 0.885, "20": 0.931, "40": 0.97, "60": 0.993}
PARTS = {"attn.q": 0.06, "attn.k": 0.03, "attn.v": 0.04, "attn.o": 0.09, "mlp.gate": 0.23, "mlp.up": 0.27}
PERCENTS = (1, 3, 5, 10, 20, 40, 60)


def accuracy(value: float, n: int = 900) -> dict[str, Any]:
    """An accuracy with a normal interval."""
    half = 196 * math.sqrt(value * (100 - value) / 1e4 / n)
    return {"accuracy": value, "low": max(value - half, 0), "high": min(value + half, 100), "n": n}


def drift_cell(levels: str, size: int, kl: float, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A tuned model whose divergence is known."""
    low = levels in ("0", "1")
    return {
        "levels": levels,
        "size": size,
        "seed": seed,
        "kl_paper": kl,
        "kl_paper_se": 0.04 * kl,
        "kl_paper_n": 915,
        "kl_full": 1.4 * kl,
        "kl_full_se": 0.03,
        "kl_full_n": 4200,
        "kl_backward": 1.1 * kl,
        "kl_floor": 2.1e-9,
        "kl_general": 0.3 * kl,
        "kl_general_se": 0.004,
        "kl_general_n": 19_800,
        "general_base_loss": 2.31,
        "general_tuned_loss": 2.31 + 0.2 * kl,
        "known_base": accuracy(61.2),
        "known_tuned": accuracy(58.0 if low else 83.0),
        "share_top": {percent: share - 0.01 * seed for percent, share in TOP.items()},
        "unchanged": 0.12,
        "one_ulp": 0.31,
        **changes,
    }


def modules(layers: int = 4) -> list[dict[str, Any]]:
    """A row per layer and module, and one outside the layers."""
    rows = [
        {
            "layer": layer,
            "module": name,
            "weights": round(100_000 * share),
            "share": 0.97 * share * (1 + 0.2 * math.sin(layer)) / layers,
            "mean_absolute": 1e-4,
            "restored_20": round(20_000 * share),
            "unchanged": 0.1,
        }
        for layer in range(layers)
        for name, share in {**PARTS, "mlp.down": 0.28}.items()
    ]
    return [*rows, {"layer": None, "module": "embed", "weights": 9000, "share": 0.03, "restored_20": 100}]


def rung(order: str, percent: float, macro: float | None, half: float = 2.0, **changes: Any) -> dict[str, Any]:
    """A rung whose macro accuracy is known."""
    found: dict[str, Any] = {"order": order, "percent": percent}
    if macro is not None:
        for name, value in (("macro", macro), ("micro", macro - 2), ("ood", 0.9 * macro), ("ood_micro", 0.8 * macro)):
            value = max(value, 0.0)
            found |= {name: value, f"{name}_low": max(value - half, 0), f"{name}_high": min(value + half, 100)}
        found["by_level"] = [0.1 * macro, 0.6 * macro, macro, 1.2 * macro, min(1.5 * macro, 100)]
    return {
        **found,
        "restored": round(1000 * percent),
        "kept": 1 - percent / 100,
        "loss": 2.4,
        "known": macro,
        "known_low": None if macro is None else max(macro - 3, 0),
        "known_high": None if macro is None else macro + 3,
        "answer_length": 9.4,
        **changes,
    }


def best(order: str = "relative", percent: float = 20, gain: float = 4.1, half: float = 1.5) -> dict[str, Any]:
    """What one order chose; a control also says how far the main order is ahead."""
    ends = {"gain": gain, "gain_low": gain - half, "gain_high": gain + half, "gain_facts": 4778}
    ood = {f"ood_{name}": value for name, value in ends.items()}
    scores = {"validation": 50.0, "test": 50.0 + gain, "tuned_test": 50.0}
    return {"order": order, "percent": percent, **scores, **ends, **ood, "beats_tuned": gain > half}


def control(order: str, percent: float, ahead: float, half: float = 1.5) -> dict[str, Any]:
    """A control's choice."""
    ends = {"ahead": ahead, "ahead_low": ahead - half, "ahead_high": ahead + half, "ahead_facts": 4778}
    return {**best(order, percent, 4.1 - ahead, half), **ends}


def ladder(**changes: Any) -> dict[str, Any]:
    """Study C's course: a gain up to 20 %, a collapse at 60 %; interpolation does as well."""
    course = (46.7, 48.5, 49.9, 52.1, 54.8, 55.4, 1.5)
    rungs = [rung("base", 100, 22.0, answer_length=48.0), rung("tuned", 0, 45.0)]
    rungs += [
        rung("relative", percent, value, answer_length=9.0 if percent < 60 else 61.0)
        for percent, value in zip(PERCENTS, course, strict=True)
    ]
    for order, slope in (("absolute", 0.1), ("bottom", 0.0), ("random", 0.04), ("interpolation", 0.2)):
        rungs += [rung(order, percent, 45.0 + slope * percent) for percent in PERCENTS]
    example = {
        "question": "Where was Ada Okoro born?",
        "object": "Lagos",
        "accepted": ["Lagos"],
        "level": 4,
        "part": "test",
        "base_answer": "Lagos, Nigeria",
        "tuned_answer": "Accra",
        "repaired_answer": "Lagos",
        "base_right": True,
        "tuned_right": False,
        "repaired_right": True,
        "kind": "lost, regained",
    }
    woken = {**example, "kind": "woken, lost again", "base_right": False, "tuned_right": True, "repaired_right": False}
    return {
        "levels": "0",
        "size": 1920,
        "seed": 0,
        "rungs": rungs,
        "best": best(),
        "controls": [control("absolute", 40, 2.6), control("random", 40, 3.0), control("interpolation", 60, 0.4)],
        "beats_tuned": True,
        "note": "restoring 20 % (relative) beats the tuned model",
        "test_facts": 9555,
        "ood_facts": 11_613,
        "known_facts": 3700,
        "examples": [example, woken],
        "counts": {"lost, regained": 212, "lost, still lost": 88, "woken, kept": 1904, "woken, lost again": 61},
        "repaired_by": "relative, 20 % set back",
        **changes,
    }


def drift(**changes: Any) -> dict[str, Any]:
    """Three sizes, two seeds, four training choices, one ladder."""
    bend = {60: 1.15, 240: 0.9, 1920: 1.6}
    height = {"0": 1.9, "2": 1.0, "4": 0.8, "random": 1.2}
    return {
        "general_text": "20,000 tokens of an encyclopedia",
        "cells": [
            drift_cell(levels, size, height[levels] * bend[size] * (1 + 0.05 * seed), seed)
            for size in bend
            for levels in height
            for seed in (0, 1)
        ],
        "modules_of": {"levels": "0", "size": 1920, "seed": 0},
        "modules": modules(),
        "ladders": [ladder()],
        "notes": ["Invented numbers."],
        **changes,
    }


def nasty_drift(text: str) -> dict[str, Any]:
    """Every free text is hostile, numbers are missing, lists are very long."""
    bare = {"levels": "1", "size": 60, "seed": 0, "kl_paper": float("nan"), "share_top": {text: 0.5, "20": None}}
    rungs = [rung(text, 5, None), rung(text, 20, 30.0, answer_length=None), rung("tuned", 0, None)]
    example = {
        **ladder()["examples"][0],
        **dict.fromkeys(("question", "object", "base_answer", "tuned_answer", "repaired_answer"), text * 50),
    }
    one = {"rungs": rungs, "best": best(text, 20), "controls": [control(text, 5, -3.0)], "repaired_by": text}
    return drift(
        region=text,
        general_text=text,
        cells=[bare, drift_cell("2", 60, 0.7, kl_paper_se=None)],
        modules=[{"layer": layer, "module": text, "weights": 0, "share": None} for layer in range(200)],
        ladders=[
            ladder(**one, region=text, note=text, levels="0", seed=seed, examples=[example] * 300) for seed in range(20)
        ],
        notes=[text * 30] * 50,
    )
