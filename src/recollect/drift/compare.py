"""Both models on the same tokens: read with one, then with the other, compare, store.

One model is in memory at a time: each leaves its final hidden states behind, and distributions are recomputed from
them. What the base leaves can be kept for the next tuned model of the same study (`BaseSide`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recollect.core.workspace import Step
from recollect.drift.general import KNOWN, known_accuracy
from recollect.drift.hold import evaluate_settings, load_base, load_tuned
from recollect.drift.kl import Floats, Reading, divergences, summary
from recollect.drift.settings import DriftSettings
from recollect.drift.tokens import (
    Seen,
    answer_readings,
    check_same_tokens,
    compare,
    first_token_kl,
    known_best,
    mapping_readings,
    question_readings,
    see,
    text_length,
    text_readings,
)
from recollect.errors import InputError
from recollect.evaluate import facts_of_part, run_evaluate
from recollect.facts import Fact, FactSet, Relation
from recollect.models import LoadedModel


@dataclass(frozen=True)
class Probe:
    """What the study's measure needs of a probe; empty without one."""

    levels: pl.DataFrame | None
    best: Mapping[str, int]
    relations: Mapping[str, Relation]
    note: str | None


@dataclass(frozen=True)
class Side:
    """What one model made of all texts, and its answers to the facts that the base knows."""

    seen: Seen
    readings: Mapping[str, list[Reading]]
    outputs: pl.DataFrame | None


class BaseSide:
    """What the base made of the texts, kept in memory from one comparison to the next."""

    def __init__(self) -> None:
        self._key = ""
        self._kept: tuple[Side, Seen] | None = None

    def get(self, key: str, make: Callable[[], tuple[Side, Seen]]) -> tuple[Side, Seen]:
        """The kept reading, or a new one when `key` (base, texts and settings) is another."""
        if self._kept is None or key != self._key:
            self._key, self._kept = key, make()
        return self._kept


def compare_tokens(
    step: Step,
    settings: DriftSettings,
    base: str,
    tuned: str,
    facts: FactSet,
    texts: Sequence[str],
    probe: Probe,
    base_side: BaseSide,
    key: str,
) -> dict[str, Any]:
    """Read with one model, then with the other; compare; write the tables. Returns the numbers.

    `key` names the base, the texts and the settings: all that the base's side depends on.
    """
    asked = _drawn(facts, settings)
    if not asked:
        raise InputError(f"the fact set {facts.name!r} has no test or ood fact to compare on; it has {facts.counts()}.")
    best = known_best(list(facts), probe.levels) if probe.levels is not None and probe.best else []
    known = _known(facts, probe.levels, settings)

    def read(loaded: LoadedModel, first: list[Reading]) -> Side:
        readings = {
            "answers": answer_readings(loaded.tokenizer, asked, settings.prompt_template),
            "general": text_readings(loaded.tokenizer, texts, longest=text_length(loaded), tokens=settings.text_tokens),
        }
        seen = see(loaded, {**readings, "first": first}, settings.batch_size)
        return Side(seen, readings, _ask(step, settings, loaded, known, probe.levels) if known else None)

    def read_base() -> tuple[Side, Seen]:
        loaded = load_base(settings, base)
        side = read(loaded, mapping_readings(loaded.tokenizer, best, probe.relations, probe.best))
        # another batch size: other padding, other rounding
        return side, see(loaded, side.readings, max(1, settings.batch_size // 3))

    loaded = load_tuned(settings, tuned)
    tuned_side = read(loaded, question_readings(loaded.tokenizer, best, settings.prompt_template))
    del loaded
    side, again = base_side.get(key, read_base)
    ours, theirs = tuned_side.seen, side.seen
    found: dict[str, Any] = {}
    rows = []
    for kind, texts_read in side.readings.items():
        if not texts_read:
            continue
        check_same_tokens(tuned_side.readings[kind], texts_read)
        both = compare(kind, texts_read, ours, theirs, chunk=settings.chunk)
        floor = divergences(theirs.hidden[kind], theirs.head, again.hidden[kind], again.head, chunk=settings.chunk)
        names = [fact.id for fact in asked] if kind == "answers" else [""] * len(texts_read)
        table = _table(kind, texts_read, names, both.divergence.forward, both.divergence.backward).with_columns(
            same_top=pl.Series(both.divergence.same_top),
            tuned_loss=pl.Series(both.tuned_loss),
            base_loss=pl.Series(both.base_loss),
        )
        rows.append(table)
        found[kind] = {
            "forward": summary(both.divergence.forward, both.divergence.same_top),
            "backward": summary(both.divergence.backward),
            "floor": summary(floor.forward, floor.same_top),
            "tuned_loss": float(both.tuned_loss.mean()),
            "base_loss": float(both.base_loss.mean()),
        }
    tokens = _with_levels(pl.concat(rows), facts, probe.levels)
    step.write_table("tokens.parquet", tokens)
    if probe.levels is not None:
        found["answers"]["by_level"] = _by_level(tokens)
    if best:
        found["first_tokens"] = _first(step, best, probe, ours, theirs)
    if tuned_side.outputs is not None and side.outputs is not None:
        sides = {"tuned": tuned_side.outputs, "base": side.outputs}
        found["known"] = {name: known_accuracy(outputs) for name, outputs in sides.items()}
        both_sides = [outputs.select(pl.lit(name).alias("model"), pl.all()) for name, outputs in sides.items()]
        step.write_table("known.parquet", pl.concat(both_sides))
    return found


def _ask(
    step: Step, settings: DriftSettings, loaded: LoadedModel, known: Sequence[Fact], levels: pl.DataFrame | None
) -> pl.DataFrame:
    """The model's answers to the facts that the base knows."""
    out = step.folder / "parts" / f"known-{loaded.fingerprint[:12]}"
    chosen = FactSet(tuple(known), "known")
    return run_evaluate(evaluate_settings(settings), chosen, levels, out=out, loaded=loaded).outputs()


def _drawn(facts: FactSet, settings: DriftSettings) -> list[Fact]:
    """At most `limit` facts of each part: those that an evaluation with this seed asks."""
    return [fact for part in ("test", "ood") for fact in facts_of_part(facts, part, settings.limit, settings.seed)]


def _known(facts: FactSet, levels: pl.DataFrame | None, settings: DriftSettings) -> list[Fact]:
    """The facts that the base knows, at most `limit` of a part."""
    if levels is None:
        return []
    ids = set(levels.filter(pl.col("level").is_in(KNOWN))["fact_id"].to_list())
    known = FactSet(tuple(fact for fact in facts if fact.id in ids), "known")
    return _drawn(known, settings)


def _table(
    kind: str, readings: Sequence[Reading], names: Sequence[str], forward: Floats, backward: Floats
) -> pl.DataFrame:
    places = [(number, at + 1, reading.ids[at + 1]) for number, reading in enumerate(readings) for at in reading.at]
    return pl.DataFrame(
        {
            "text": [kind] * len(places),
            "number": [number for number, _, _ in places],
            "fact_id": [names[number] for number, _, _ in places],
            "position": [position for _, position, _ in places],
            "token": [token for _, _, token in places],
            "forward": forward,
            "backward": backward,
        }
    )


def _with_levels(tokens: pl.DataFrame, facts: FactSet, levels: pl.DataFrame | None) -> pl.DataFrame:
    parts = {fact.id: fact.part for fact in facts}
    known = {} if levels is None else dict(zip(levels["fact_id"].to_list(), levels["level"].to_list(), strict=True))
    return tokens.with_columns(
        part=pl.col("fact_id").replace_strict(parts, default=None, return_dtype=pl.String),
        level=pl.col("fact_id").replace_strict(known, default=None, return_dtype=pl.Int64)
        if known
        else pl.lit(None, dtype=pl.Int64),
    )


def _by_level(tokens: pl.DataFrame) -> dict[str, Any]:
    """Mean forward divergence on in-domain answer tokens, by memory level."""
    answers = tokens.filter((pl.col("part") == "test") & pl.col("level").is_not_null())
    return {
        str(level): summary(answers.filter(pl.col("level") == level)["forward"].to_numpy())
        for level in sorted(answers["level"].unique().to_list())
    }


def _first(step: Step, best: Sequence[Fact], probe: Probe, ours: Seen, theirs: Seen) -> dict[str, Any]:
    found = first_token_kl(ours.hidden["first"], ours.head, theirs.hidden["first"], theirs.head)
    step.write_table(
        "first_tokens.parquet",
        pl.DataFrame(
            {
                "fact_id": [fact.id for fact in best],
                "relation": [fact.relation for fact in best],
                "template": [probe.best[fact.relation] for fact in best],
                "kl": found.kl,
                "tokens": found.ids.tolist(),
                "tuned": found.tuned.tolist(),
                "base": found.base.tolist(),
                "same_top": found.base.argmax(axis=1) == 0,
            }
        ),
    )
    return {**summary(found.kl), "same_top": float(np.mean(found.base.argmax(axis=1) == 0))}
