"""Both models on the same tokens: read with one, then with the other, compare, store.

One model is in memory at a time: each leaves its final hidden states behind, and distributions are recomputed from
them. What the base leaves can be kept for the next tuned model of the same study (`BaseSide`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from pydantic import field_validator

from recollect.chat.asking import Asking
from recollect.core.estimates import Estimate, by_cluster, proportion
from recollect.core.workspace import Step
from recollect.core.workspace.result import Result
from recollect.drift.kl import Reading, Summary, divergences, summary
from recollect.drift.settings import DriftSettings
from recollect.drift.sides import evaluate_settings, load_base, load_tuned
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
from recollect.evaluate import RIGHT, facts_of_part, run_evaluate, units_of, with_right
from recollect.facts import Fact, FactSet, Relation
from recollect.models import LoadedModel

KNOWN = (3, 4)
"""Memory levels of the facts that the base is said to know."""


class KindFound(Result):
    """One kind of text: divergences after each of its tokens, and the loss of each, in nats."""

    forward: Summary
    """KL(tuned || base)."""
    backward: Summary
    """KL(base || tuned)."""
    floor: Summary
    """The base from itself in batches of another size: rounding, not drift."""
    tuned_loss: float
    base_loss: float
    by_level: dict[str, Summary] = {}
    """For answers, with a probe: the forward divergence on in-domain test facts by memory level."""


class KnownFound(Result):
    """Accuracy on the facts that the base knows, in the fine-tuning prompt."""

    tuned: Estimate | None = None
    base: Estimate | None = None

    @field_validator("tuned", "base", mode="before")
    @classmethod
    def _of_earlier_versions(cls, value: Any) -> Any:
        """They kept {accuracy, low, high, n} in percent."""
        if not isinstance(value, Mapping) or "accuracy" not in value:
            return value
        right, low, high = (value[name] / 100 for name in ("accuracy", "low", "high"))
        return Estimate(right, low, high, value["n"], "95 % interval")


class TokensFound(Result):
    """The token level; None for what was not measured."""

    answers: KindFound | None = None
    general: KindFound | None = None
    first_tokens: Summary | None = None
    """The KL of *Token and Parameter Levels*: of the first token of level-4 test facts."""
    known: KnownFound | None = None


@dataclass(frozen=True)
class Probe:
    """What the paper's measure needs of a probe; empty without one."""

    levels: pl.DataFrame | None = None
    best: Mapping[str, int] = field(default_factory=dict)
    relations: Mapping[str, Relation] = field(default_factory=dict)
    note: str | None = None
    chat: bool = False
    """Whether it asked in the chat template."""


@dataclass(frozen=True)
class Asked:
    """What both models are asked and read."""

    facts: FactSet
    texts: Sequence[str]
    probe: Probe


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
    step: Step, settings: DriftSettings, names: tuple[str, str], asked: Asked, base_side: BaseSide, key: str
) -> TokensFound:
    """Read with the tuned model, then with the base (`names`: base, tuned); compare; write the tables.

    `key` names the base, the texts and the settings: all that the base's side depends on.
    """
    probe, levels = asked.probe, asked.probe.levels
    drawn, asking = _drawn(asked.facts, settings), Asking.of(settings)
    if not drawn:
        raise InputError(
            f"the fact set {asked.facts.name!r} has no test or ood fact to compare on; it has {asked.facts.counts()}."
        )
    best = known_best(list(asked.facts), levels) if levels is not None and probe.best else []
    known = _known(asked.facts, levels, settings)

    def read(loaded: LoadedModel, first: list[Reading]) -> Side:
        longest = text_length(loaded)
        readings = {
            "answers": answer_readings(loaded.tokenizer, drawn, asking),
            "general": text_readings(loaded.tokenizer, asked.texts, longest=longest, tokens=settings.text_tokens),
        }
        seen = see(loaded, {**readings, "first": first}, settings.batch_size)
        return Side(seen, readings, _ask(step, settings, loaded, known, levels) if known else None)

    def read_base() -> tuple[Side, Seen]:
        loaded = load_base(settings, names[0])
        side = read(loaded, mapping_readings(loaded.tokenizer, best, probe.relations, probe.best, probe.chat))
        # another batch size: other padding, other rounding
        return side, see(loaded, side.readings, max(1, settings.batch_size // 3))

    loaded = load_tuned(settings, names[1])
    tuned = read(loaded, question_readings(loaded.tokenizer, best, asking))
    del loaded
    base, again = base_side.get(key, read_base)
    tables, kinds = [], {}
    for kind in (kind for kind, readings in base.readings.items() if readings):
        check_same_tokens(tuned.readings[kind], base.readings[kind])
        fact_ids = [fact.id for fact in drawn] if kind == "answers" else []
        table, kinds[kind] = _compare_kind(kind, (tuned, base), again, fact_ids, settings.chunk)
        tables.append(table)
    tokens = _with_levels(pl.concat(tables), asked.facts, levels)
    step.write_table("tokens.parquet", tokens)
    if levels is not None:
        kinds["answers"] = kinds["answers"].model_copy(update={"by_level": _by_level(tokens)})
    return TokensFound(
        answers=kinds["answers"],
        general=kinds.get("general"),
        first_tokens=_first(step, best, probe, tuned.seen, base.seen) if best else None,
        known=_compare_known(step, tuned.outputs, base.outputs),
    )


def _compare_kind(
    kind: str, sides: tuple[Side, Side], again: Seen, fact_ids: Sequence[str], chunk: int
) -> tuple[pl.DataFrame, KindFound]:
    """One kind of text: a row per token, and what they come to. `again`: the base once more, for the floor."""
    tuned, base = sides[0].seen, sides[1].seen
    readings = sides[1].readings[kind]
    both = compare(kind, readings, tuned, base, chunk=chunk)
    floor = divergences(base.hidden[kind], base.head, again.hidden[kind], again.head, chunk=chunk)
    places = [(number, at + 1, reading.ids[at + 1]) for number, reading in enumerate(readings) for at in reading.at]
    texts = [number for number, _, _ in places]
    table = pl.DataFrame(
        {
            "text": [kind] * len(places),
            "number": texts,
            "fact_id": [fact_ids[number] if fact_ids else "" for number, _, _ in places],
            "position": [position for _, position, _ in places],
            "token": [token for _, _, token in places],
            "forward": both.divergence.forward,
            "backward": both.divergence.backward,
            "same_top": both.divergence.same_top,
            "tuned_loss": both.tuned_loss,
            "base_loss": both.base_loss,
        }
    )
    return table, KindFound(
        forward=summary(both.divergence.forward, both.divergence.same_top, texts),
        backward=summary(both.divergence.backward, texts=texts),
        floor=summary(floor.forward, floor.same_top, texts),
        tuned_loss=float(both.tuned_loss.mean()),
        base_loss=float(both.base_loss.mean()),
    )


def known_accuracy(outputs: pl.DataFrame) -> Estimate | None:
    """Accuracy (95 % interval) on the facts of level 3 and 4 of all parts of an outputs table, by its main judge.

    None without such facts.

    Read the base's own number with care: it may know a fact and not answer, because it has never seen the prompt.
    """
    known = with_right(outputs).filter(pl.col("level").is_in(KNOWN))
    if not known.height:
        return None
    right = known[RIGHT].to_list()
    return by_cluster(proportion(sum(right), len(right)), right, units_of(known).to_list())


def _compare_known(step: Step, tuned: pl.DataFrame | None, base: pl.DataFrame | None) -> KnownFound | None:
    if tuned is None or base is None:
        return None
    both = [
        outputs.select(pl.lit(name).alias("model"), pl.all()) for name, outputs in (("tuned", tuned), ("base", base))
    ]
    step.write_table("known.parquet", pl.concat(both))
    return KnownFound(tuned=known_accuracy(tuned), base=known_accuracy(base))


def _ask(
    step: Step, settings: DriftSettings, loaded: LoadedModel, known: Sequence[Fact], levels: pl.DataFrame | None
) -> pl.DataFrame:
    """The model's answers to the facts that the base knows."""
    out = step.scratch(f"known-{loaded.fingerprint[:12]}")
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


def _with_levels(tokens: pl.DataFrame, facts: FactSet, levels: pl.DataFrame | None) -> pl.DataFrame:
    parts = {fact.id: fact.part for fact in facts}
    known = {} if levels is None else dict(zip(levels["fact_id"].to_list(), levels["level"].to_list(), strict=True))
    return tokens.with_columns(
        part=pl.col("fact_id").replace_strict(parts, default=None, return_dtype=pl.String),
        level=pl.col("fact_id").replace_strict(known, default=None, return_dtype=pl.Int64)
        if known
        else pl.lit(None, dtype=pl.Int64),
    )


def _by_level(tokens: pl.DataFrame) -> dict[str, Summary]:
    """Mean forward divergence on in-domain answer tokens, by memory level."""
    answers = tokens.filter((pl.col("part") == "test") & pl.col("level").is_not_null())
    found = {}
    for level in sorted(answers["level"].unique().to_list()):
        table = answers.filter(pl.col("level") == level)
        found[str(level)] = summary(table["forward"].to_numpy(), texts=table["number"].to_list())
    return found


def _first(step: Step, best: Sequence[Fact], probe: Probe, ours: Seen, theirs: Seen) -> Summary:
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
    return summary(found.kl, found.base.argmax(axis=1) == 0)
