"""The drift step: what fine-tuning changed, in tokens and in parameters, and what it cost elsewhere.

Notable choices
- One model at a time: the tuned one reads every text and leaves its final hidden states, then the base does.
- The floor: the base against itself in batches of another size. What stands at the floor is rounding, not drift.
- Without a probe there are no levels and no best templates, so the study's KL is null and a note says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.workspace import DEFAULT_ROOT, fingerprint, open_step, step_input
from recollect.drift.compare import BaseSide, Probe, compare_tokens
from recollect.drift.general import general_text
from recollect.drift.hold import open_both
from recollect.drift.parameters import Change, change
from recollect.drift.settings import DriftSettings
from recollect.drift.tokens import best_templates, known_best
from recollect.errors import InputError
from recollect.facts import FactSet, load_facts, read_relations
from recollect.select import levels_fingerprint, read_levels
from recollect.weights.pair import CheckpointPair

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DriftResult:
    """The step directory and its metrics; the tables are read on demand."""

    path: Path
    metrics: dict[str, Any]

    def tokens(self) -> pl.DataFrame:
        """One row per compared token: where it stands, both divergences, both losses (nats)."""
        return pl.read_parquet(self.path / "tokens.parquet")

    def first_tokens(self) -> pl.DataFrame:
        """One row per level-4 test fact: the study's KL, the ten entries and their shares."""
        return pl.read_parquet(self.path / "first_tokens.parquet")

    def summary(self) -> dict[str, Any]:
        """The command's JSON answer."""
        return {**self.metrics, "out": str(self.path)}


def run_drift(
    settings: DriftSettings,
    base: str,
    tuned: str,
    facts: FactSet | None = None,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
    base_side: BaseSide | None = None,
) -> DriftResult:
    """Compare a base and a tuned model; both are names, folders or step directories, and stay as they are.

    Stores concentration.parquet and modules.parquet and, with `settings.tokens`, tokens.parquet, first_tokens.parquet
    (with a probe) and known.parquet. `progress` counts the weights read; one `base_side` for several tuned models of a
    base spares reading the texts with the base again. Raises InputError, ModelError and StepError:
    what does not fit together is named.
    """
    with open_both(settings, base, tuned, asked=settings.tokens) as pair:
        return _run(settings, base, tuned, pair, facts, out, root, progress, base_side or BaseSide())


def _run(
    settings: DriftSettings,
    base: str,
    tuned: str,
    pair: CheckpointPair,
    facts: FactSet | None,
    out: Path | None,
    root: Path,
    progress: Progress | None,
    base_side: BaseSide,
) -> DriftResult:
    inputs: dict[str, Any] = {
        "base": pair.base.fingerprint,
        "tuned": pair.tuned.fingerprint,
    }
    texts: list[str] = []
    facts = (load_facts(settings.facts) if facts is None else facts) if settings.tokens else None
    probe = Probe(None, {}, {}, "the tokens were not compared (--no-tokens)")
    if facts is not None:
        texts = general_text(settings, base)
        probe = _read_probe(settings, facts, inputs["base"])
        inputs["facts"], inputs["text"] = facts.fingerprint(), fingerprint(texts)
        inputs["levels"] = None if probe.levels is None else levels_fingerprint(probe.levels)
        inputs["templates"] = fingerprint(
            {name: [probe.relations[name].templates[at]] for name, at in probe.best.items()}
        )
    with open_step("drift", settings, inputs, out, root) as step:
        if not step.done:
            started = time.monotonic()
            changed = change(pair, settings.region, progress)
            step.write_table("concentration.parquet", changed.concentration)
            step.write_table("modules.parquet", changed.modules)
            found: dict[str, Any] = {}
            if facts is not None:
                key = fingerprint({**settings.fingerprint_values(), **inputs, "tuned": None})
                found = compare_tokens(step, settings, base, tuned, facts, texts, probe, base_side, key)
            seconds = round(time.monotonic() - started, 3)
            step.finish({**_metrics(changed, found, probe, pair, texts, settings), "seconds": seconds})
        return DriftResult(step.path, step.metrics)


def _metrics(
    changed: Change,
    found: dict[str, Any],
    probe: Probe,
    pair: CheckpointPair,
    texts: Sequence[str],
    settings: DriftSettings,
) -> dict[str, Any]:
    notes = [probe.note] if probe.note else []
    if settings.tokens and not texts:
        notes.append("no general text was given (--text), so forgetting is measured on facts alone")
    first, answers = found.get("first_tokens"), found.get("answers")
    return {
        "kl_paper": first["mean"] if first and first["n"] else None,
        "kl_full": answers["forward"]["mean"] if answers else None,
        "share_top": changed.summary["share_top"],
        "unchanged": changed.summary["unchanged"],
        "one_ulp": changed.summary["one_ulp"],
        "parameters": {**changed.summary, "region": changed.region},
        "tokens": found,
        "notes": notes,
        "warnings": [*pair.warnings, *changed.warnings],
    }


def _read_probe(settings: DriftSettings, facts: FactSet, base: str) -> Probe:
    """Levels, best templates and their texts, checked against the base and the template file."""
    if settings.levels is None:
        return Probe(None, {}, {}, "kl_paper needs the base's probe: give its step directory with --levels")
    levels = read_levels(settings.levels)
    if not settings.levels.is_dir():
        return Probe(levels, {}, {}, "kl_paper needs the probe step directory, not its levels.parquet alone")
    manifest = step_input(settings.levels, "probe")
    if manifest["inputs"]["model"] != base:
        raise InputError(
            f"{settings.levels} is a probe of another model than the base given. Probe the base: levels and best "
            "templates belong to a model."
        )
    relations = read_relations(Path(settings.template_file) if settings.template_file else None)
    templates = pl.read_parquet(settings.levels / "templates.parquet")
    used = templates["relation"].unique().to_list()
    known = {name: list(relations[name].templates) for name in used if name in relations}
    if fingerprint(known) != manifest["inputs"]["templates"]:
        raise InputError(
            f"the mapping templates are not those of the probe {settings.levels}. Give the same --template-file."
        )
    note = None
    if not known_best(list(facts), levels):
        note = "kl_paper is of level-4 test facts, but the base has none among these facts"
    return Probe(levels, best_templates(templates), relations, note)
