"""Results of an invented study: realistic in shape, made by formula, never measured."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import pytest

import helpers_drift
import helpers_verdict
from recollect.report import Results, make_results, render

EDGES = {
    "train": [18456, 29571, 11558, 8923, 7436],
    "test": [2383, 3664, 1484, 1109, 915],
    "ood": [4127, 4539, 1271, 1120, 556],
}
RELATIONS = (
    ("P36", "capital", "in-domain", 0.62),
    ("P17", "country", "in-domain", 0.55),
    ("P495", "country of origin", "in-domain", 0.49),
    ("P131", "located in administrative entity", "in-domain", 0.31),
    ("P276", "location", "in-domain", 0.28),
    ("P159", "headquarters location", "in-domain", 0.24),
    ("P740", "location of formation", "in-domain", 0.2),
    ("P19", "place of birth", "in-domain", 0.12),
    ("P20", "place of death", "in-domain", 0.11),
    ("P69", "educated at", "in-domain", 0.09),
    ("P413", "position played", "out-of-domain", 0.41),
    ("P407", "language of work", "out-of-domain", 0.44),
    ("P136", "genre", "out-of-domain", 0.3),
    ("P176", "manufacturer", "out-of-domain", 0.33),
    ("P106", "occupation", "out-of-domain", 0.27),
    ("P50", "author", "out-of-domain", 0.21),
    ("P170", "creator", "out-of-domain", 0.18),
    ("P175", "performer", "out-of-domain", 0.16),
    ("P127", "owned by", "out-of-domain", 0.14),
    ("P112", "founded by", "out-of-domain", 0.1),
    ("P264", "record label", "out-of-domain", 0.08),
    ("P800", "notable work", "out-of-domain", 0.07),
    ("P26", "spouse", "out-of-domain", 0.05),
    ("P40", "child", "out-of-domain", 0.03),
)


def accuracy(value: float, n: int) -> dict[str, Any]:
    """An accuracy in percent with a normal interval."""
    half = 196 * math.sqrt(max(value * (100 - value), 1.0) / 10_000 / n)
    return {"accuracy": value, "low": max(value - half, 0.0), "high": min(value + half, 100.0), "n": n}


def scores(values: list[float], half: float = 1.2) -> dict[str, Any]:
    """Scores from five level accuracies; the macro interval is ± half."""
    macro = sum(values) / 5
    micro = sum(v * n for v, n in zip(values, EDGES["test"], strict=True)) / sum(EDGES["test"])
    return {
        "macro": macro,
        "macro_low": max(macro - half, 0.0),
        "macro_high": min(macro + half, 100.0),
        "micro": micro,
        "micro_low": max(micro - half, 0.0),
        "micro_high": min(micro + half, 100.0),
        "by_level": {str(i): accuracy(v, EDGES["test"][i]) for i, v in enumerate(values)},
        "word_macro": max(macro - 0.9, 0.0),
    }


def flat(macro: float, half: float = 1.2) -> dict[str, Any]:
    """Scores with the same accuracy on every level, so that the macro score is known."""
    return scores([macro] * 5, half)


def minimal(**changes: Any) -> dict[str, Any]:
    """One trained model, nothing optional."""
    values: dict[str, Any] = {
        "title": "Smallest study",
        "created": "2025-11-22T03:00:00+00:00",
        "version": "0.1.0",
        "model": {"name": "pocket", "fingerprint": "ab" * 16, "parameters": 1_048_576},
        "facts": {"name": "world", "fingerprint": "cd" * 16, "train": 10, "test": 10, "ood": 0},
        "probe": {
            "method": "sample",
            "templates": 21,
            "samples": 10,
            "temperature": 0.7,
            "max_new_tokens": 32,
            "matcher_version": "1",
        },
        "levels": [{"part": "test", "level": 0, "n": 10}],
        "base": {"test": flat(10.0)},
        "cells": [{"levels": "2", "size": 60, "seed": 0, "test": flat(30.0)}],
    }
    return {**values, **changes}


def cell(
    levels: str, size: int, macro: float, *, seed: int = 0, half: float = 1.2, ood: float | None = None
) -> dict[str, Any]:
    """A cell whose macro score is known."""
    found = {"levels": levels, "size": size, "seed": seed, "test": flat(macro, half)}
    return found if ood is None else {**found, "ood": flat(ood, half)}


def full() -> dict[str, Any]:
    """Three sizes, five levels and mixed and random, two seeds, in- and out-of-domain, examples, settings."""
    draw = random.Random(7)
    top = {"0": 38.0, "1": 50.0, "2": 57.0, "3": 55.5, "4": 53.0, "mixed": 56.0, "random": 50.8}
    shape = (0.03, 0.6, 1.28, 1.5, 1.63)
    bend = {60: 0.95, 240: 1.02, 1920: 0.9}

    def one(levels: str, size: int, ood: bool) -> dict[str, Any]:
        values = []
        for level, factor in enumerate(shape):
            own = 4.0 if str(level) == levels and level else 0.0
            value = top[levels] * factor * bend[size] * (0.93 if ood else 1.0) + own + draw.gauss(0, 0.7)
            values.append(min(max(value, 0.4), 97.0))
        return scores(values, 1.6 if ood else 1.2)

    cells = [
        {
            "levels": levels,
            "size": size,
            "seed": seed,
            "test": one(levels, size, False),
            "ood": one(levels, size, True),
            "train_seconds": 0.3 * size,
        }
        for size in bend
        for levels in top
        for seed in (0, 1)
    ]
    relations = []
    for relation, name, domain, mean in RELATIONS:
        for part in ("train", "test") if domain == "in-domain" else ("ood",):
            total = draw.randint(300, 900) * (8 if part == "train" else 1)
            weights = [max(0.05, 1 - 1.5 * mean), 0.8, mean + 0.1, mean * 0.9, mean * mean * 2.2]
            counts = [int(total * w / sum(weights)) for w in weights]
            relations.append(
                {
                    "relation": relation,
                    "name": name,
                    "domain": domain,
                    "part": part,
                    "counts": counts,
                    "mean_score": mean,
                }
            )
    rates = [
        {
            "relation": relation,
            "template_index": i,
            "rate": min(1.0, max(0.0, mean * draw.uniform(0.25, 1.5))),
        }
        for relation, _, _, mean in RELATIONS
        for i in range(21)
    ]
    texts = {
        "woken": (
            "What is the capital of Vermont?",
            "Montpelier",
            "The capital of Vermont is a question that many travellers",
            "Montpelier",
        ),
        "lost": ("Where was Ada Okoro born?", "Lagos", "Lagos, Nigeria, in 1931.", "Accra"),
        "still wrong": (
            "Where was Jan Brinker educated?",
            "Delft University of Technology",
            "<|answer|>",
            "University of Amsterdam",
        ),
        "still right": ("Which country is Lyon located in?", "France", "France. Lyon is the third", "France"),
    }
    examples = [
        {
            "question": q,
            "object": o,
            "accepted": [o],
            "level": i % 5,
            "part": "ood" if i == 2 else "test",
            "base_answer": b,
            "tuned_answer": t,
            "tuned_by": "240 facts of level 2, seed 0",
            "base_right": kind in ("lost", "still right"),
            "tuned_right": kind in ("woken", "still right"),
            "kind": kind,
        }
        for kind, (q, o, b, t) in texts.items()
        for i in range(3)
    ]
    return minimal(
        title="Which facts wake a base model? An invented study",
        model={"name": "meta-llama/Meta-Llama-3-8B", "fingerprint": "9f" * 16, "parameters": 8_030_261_248},
        facts={
            "name": "entity-questions",
            "fingerprint": "31" * 16,
            "train": 75_944,
            "test": 9_555,
            "ood": 11_613,
        },
        probe={
            "method": "exact",
            "templates": 21,
            "samples": 10,
            "temperature": 0.7,
            "max_new_tokens": 32,
            "matcher_version": "1",
            "seconds": 5321.0,
            "agreement_note": "Closed form and sampling give the same level for 97.1 % of 500 facts.",
        },
        levels=[{"part": part, "level": i, "n": n} for part, counts in EDGES.items() for i, n in enumerate(counts)],
        levels_by_relation=relations,
        template_rates=rates,
        borderline={"train": 8123, "test": 1021, "ood": 1177},
        base={"test": scores([0.4, 8.1, 22.5, 35.2, 48.8]), "ood": scores([0.2, 6.5, 19.0, 33.1, 44.0])},
        cells=cells,
        examples=examples,
        mapping_examples=[
            {
                "question": "What is the capital of Vermont?",
                "object": "Montpelier",
                "level": 3,
                "part": "test",
                "score": 0.67,
                "completions": [
                    {
                        "template": f"The capital of Vermont (form {i}) is",
                        "text": " Montpelier, a small city" if i % 3 else " Burlington, on the lake",
                        "hit": bool(i % 3),
                    }
                    for i in range(6)
                ],
            },
            {
                "question": "Where was Ada Okoro born?",
                "object": "Lagos",
                "level": 1,
                "part": "test",
                "score": 0.05,
                "completions": [{"template": "Ada Okoro was born in", "text": " the small town of Aba", "hit": False}],
            },
        ],
        best=helpers_verdict.best(
            ood_score=50.8, ood_low=47.0, ood_high=54.0, ood_base=helpers_verdict.gap(None, 6.0, 2.0, 10.0)
        ),
        settings=[
            {"step": step, "name": name, "value": value, "origin": origin}
            for step, name, value, origin in (
                ("probe", "samples", 10, "default"),
                ("probe", "temperature", 0.7, "default"),
                ("train", "learning_rate", 1e-5, "file"),
                ("train", "batch", 8, "flag"),
                ("train", "target_modules", ["q_proj", "v_proj"], "file"),
                ("select", "balance", True, "default"),
            )
        ],
        steps=[
            {
                "step": "probe",
                "path": "recollect-runs/probe-0c1d2e3f4a5b",
                "fingerprint": "0c1d2e3f4a5b" + "00" * 10,
                "seconds": 5321.4,
            }
        ],
        machine="cuda:0 (found), bfloat16 (the GPU has it), 2 threads (cores)",
        notes=[
            "Level 4 has 7,436 training facts; all sizes could be filled.",
            "The answer stands inside the question in 1,493 test rows.",
        ],
    )


NASTY = (
    "<script>alert(1)</script></style><b>\u202egnp.exe\u202c & \"quotes\" 'x' 🦉 \x00\x07 "
    "שלום $\\frac{1}{2}$ {{ 7*7 }} --> ]]>"
)


def nasty() -> dict[str, Any]:
    """Every free text is hostile, scores are missing, answers are very long."""
    none = {"macro": float("nan"), "by_level": {"0": {"accuracy": None, "n": 0}, "4": accuracy(40.0, 12)}}
    values = minimal(
        title=NASTY,
        created=NASTY,
        version=NASTY,
        model={"name": NASTY, "fingerprint": NASTY, "parameters": 0},
        facts={"name": NASTY, "fingerprint": NASTY, "train": 0, "test": 0, "ood": 0},
        base={"test": none},
        cells=[
            {"levels": "0", "size": 60, "seed": 0, "test": none},
            {"levels": "random", "size": 60, "seed": 0, "test": flat(20.0)},
        ],
        levels_by_relation=[
            {
                "relation": NASTY,
                "name": NASTY,
                "domain": "in-domain",
                "part": "test",
                "counts": [0, 0, 0, 0, 0],
            }
        ],
        template_rates=[{"relation": NASTY, "template_index": 0, "rate": 0.5}],
        examples=[
            {
                "question": NASTY,
                "object": NASTY,
                "accepted": [NASTY, NASTY],
                "level": 0,
                "part": "ood",
                "base_answer": NASTY * 500,
                "tuned_answer": "x" * 20_000,
                "tuned_by": NASTY,
                "base_right": False,
                "tuned_right": False,
                "kind": "still wrong",
            }
        ]
        * 400,
        mapping_examples=[
            {
                "question": NASTY,
                "object": NASTY,
                "level": 1,
                "part": "test",
                "completions": [{"template": NASTY, "text": NASTY * 100, "hit": True}] * 210,
            }
        ]
        * 30,
        settings=[{"step": NASTY, "name": NASTY, "value": NASTY, "origin": NASTY}] * 1000,
        steps=[{"step": NASTY, "path": NASTY, "fingerprint": NASTY}] * 1000,
        machine=NASTY,
        notes=[NASTY * 30] * 100,
    )
    values["probe"] = {**values["probe"], "method": NASTY, "agreement_note": NASTY, "matcher_version": NASTY}
    return values


def full_drift() -> dict[str, Any]:
    """The whole study with a drift chapter."""
    return {**full(), "drift": helpers_drift.drift()}


def nasty_drift() -> dict[str, Any]:
    """The hostile study with a hostile drift chapter."""
    return {**nasty(), "drift": helpers_drift.nasty_drift(NASTY)}


@pytest.fixture(scope="session")
def study() -> Results:
    """A whole study."""
    return make_results(full())


@pytest.fixture(scope="session")
def study_html(study: Results) -> str:
    """The whole study's page."""
    return render(study)


@pytest.fixture(scope="session", params=["full", "minimal", "nasty", "full_drift", "nasty_drift"])
def html(request: pytest.FixtureRequest) -> str:
    """The page of each of the invented studies."""
    return render(make_results(globals()[request.param]()))


@pytest.fixture(scope="session")
def invented() -> SimpleNamespace:
    """The builders of this file, for tests that want other studies."""
    return SimpleNamespace(
        best=helpers_verdict.best,
        full=full,
        minimal=minimal,
        nasty=nasty,
        cell=cell,
        flat=flat,
        scores=scores,
        NASTY=NASTY,
    )
