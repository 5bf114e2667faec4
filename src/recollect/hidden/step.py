"""The step that splits level 0: preferences batch by batch, then places, p-values and labels.

A part of the step is a few subjects of one relation, so a killed run resumes at the batch it was at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recollect.chat.frame import in_chat
from recollect.core.workspace import DEFAULT_ROOT, MANIFEST, Step, fingerprint, open_step, step_input
from recollect.engines import FoundModel, find_engine
from recollect.errors import InputError
from recollect.facts import Fact, FactSet, Relation, load_facts, read_relations, relation_of
from recollect.generate import Engine, engine_notes
from recollect.hidden.label import ABSENT, HIDDEN, METHOD, UNDECIDED, hidden_share, labels
from recollect.hidden.pools import Pool, make_pools
from recollect.hidden.prefer import preferences
from recollect.hidden.rank import Floats, Place, Preferences
from recollect.hidden.settings import HiddenFound, HiddenSettings
from recollect.match import MATCHER_VERSION, contains
from recollect.models import LoadedModel
from recollect.probe import chosen_facts
from recollect.select import levels_fingerprint, read_levels

_PROMPTS_AT_ONCE = 64
_STUDIES = 210
"""The studies' completions of a fact: 21 templates, 10 each."""


@dataclass(frozen=True)
class HiddenResult:
    """A finished split: `path` holds hidden.parquet, one row per fact of level 0."""

    path: Path
    facts: pl.DataFrame
    """fact_id, relation, subject, object, part, label (hidden, absent, undecided), p_value, rank (1 is first),
    candidates, gain (nats: how much more probable the right answer is than with other subjects),
    place (0 to 1, the middle), low and high (its ends), first (the answer that ranks first),
    in_subject (the subject's name holds the answer)."""
    found: HiddenFound


def run_hidden(
    settings: HiddenSettings,
    facts: FactSet | None = None,
    levels: pl.DataFrame | None = None,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
    loaded: LoadedModel | None = None,
) -> HiddenResult:
    """Split the facts of level 0 into hidden and absent; resumable after every few facts.

    `facts`, `levels` (a probe's levels.parquet) and `loaded` save reading what the settings name again. Raises
    InputError where no fact is at level 0, where levels are missing or of another model, and for a relation with fewer
    templates than asked for.

    Examples:
        `probe` is the folder of a finished `run_probe`.

        >>> from recollect import HiddenSettings, run_hidden
        >>> result = run_hidden(HiddenSettings.make(levels=probe, limit=4, templates=2, candidates=20))
        >>> result.found.level_0
        4
    """
    facts = load_facts(settings.facts) if facts is None else facts
    model = find_engine(settings, loaded)
    settings = settings.run_by(model)
    if levels is None:
        levels = _levels(settings, model)
    settings = settings.model_copy(update={"draws": settings.draws or _draws(settings.levels)})
    pools = _pools(settings, facts, levels)
    relations = read_relations(Path(settings.template_file) if settings.template_file else None)
    used = {pool.relation: relation_of(relations, pool.relation, settings.templates) for pool in pools}
    inputs = {
        **model.inputs,
        "facts": facts.fingerprint(),
        "levels": levels_fingerprint(levels),
        "templates": fingerprint({name: one.templates[: settings.templates] for name, one in used.items()}),
        "matcher": MATCHER_VERSION,
    }
    with open_step("hidden", settings, inputs, out, root) as step:
        if not step.done:
            _work(step, settings, pools, used, model.load(), progress)
        return HiddenResult(step.path, step.read_table("hidden.parquet"), HiddenFound.read(step.path))


def _levels(settings: HiddenSettings, model: FoundModel) -> pl.DataFrame:
    if settings.levels is None:
        raise InputError("levels are needed: give --levels the model's probe step directory (recollect probe).")
    if (settings.levels / MANIFEST).is_file():
        probed = step_input(settings.levels, "probe").inputs.get("model")
        if probed != model.fingerprint:
            raise InputError(
                f"the levels in {settings.levels} are of a model with the fingerprint {probed}, but {settings.model} "
                f"has {model.fingerprint}. Probe this model, or name that one with --model."
            )
    return read_levels(settings.levels)


def _draws(levels: Path | None) -> int:
    """The completions of a fact that the levels of a probe refer to."""
    if levels is None or not (levels / MANIFEST).is_file():
        return _STUDIES
    asked = step_input(levels, "probe").settings
    return int(asked["templates"]) * int(asked["samples"])


def _pools(settings: HiddenSettings, facts: FactSet, levels: pl.DataFrame) -> list[Pool]:
    ids = set(levels.filter(pl.col("level") == 0)["fact_id"])
    level_0 = FactSet(tuple(fact for fact in facts if fact.id in ids), facts.name)
    if not len(level_0):
        raise InputError(
            f"none of the {levels.height:,} facts with a level is at level 0 and in the fact set {facts.name!r}, so "
            "there is nothing to split. Give the facts that were probed, or a probe of more facts."
        )
    return make_pools(chosen_facts(level_0, settings).facts, level_0.facts, facts.facts, settings)


def _work(
    step: Step,
    settings: HiddenSettings,
    pools: Sequence[Pool],
    relations: Mapping[str, Relation],
    engine: Engine,
    progress: Callable[[int, int], None] | None,
) -> None:
    started = time.monotonic()
    engine = in_chat(engine) if settings.prompt == "chat" else engine
    together = min(engine.batch_size(1), _PROMPTS_AT_ONCE) // settings.templates
    step.pin(subjects_at_once=max(1, together), threads=engine.machine.threads)
    read = _read(step, settings, pools, relations, engine, progress)
    asked, place, first = _placed(pools, read, settings)
    given = labels(place, settings.fdr)
    table = _table(asked, place, given, first)
    step.write_table("hidden.parquet", table)
    step.finish(_found(table, place, given, settings, engine, time.monotonic() - started))


def _read(
    step: Step,
    settings: HiddenSettings,
    pools: Sequence[Pool],
    relations: Mapping[str, Relation],
    engine: Engine,
    progress: Callable[[int, int], None] | None,
) -> list[pl.DataFrame]:
    """For each pool its rows in order, each with what `preferences` gives.

    Progress counts answers, each form of each with each subject: a subject of a relation of many takes long.
    """
    size, index, done = int(step.plan["subjects_at_once"]), 0, 0
    total = sum(pool.width * len(pool.rows) for pool in pools)
    tell = progress or (lambda done, total: None)
    tell(0, total)  # so that the first subjects count for the time left too
    found = []
    for pool in pools:
        first = index
        for at in range(0, len(pool.rows), size):
            some = pool.rows[at : at + size]
            if not step.has_part(index):
                prompts = [relations[pool.relation].prompts(fact.subject, settings.templates) for fact in some]
                names = [f"a template with the subject of fact {fact.id}" for fact in some]
                said, logs = preferences(engine, prompts, pool.forms, names, settings.temperature)
                step.write_part(index, pl.DataFrame({"said": said.tolist(), "logs": logs.tolist()}))
            index += 1
            done += pool.width * len(some)
            tell(done, total)
        found.append(pl.concat([step.read_part(part) for part in range(first, index)]))
    return found


def _placed(
    pools: Sequence[Pool], read: Sequence[pl.DataFrame], settings: HiddenSettings
) -> tuple[list[Fact], list[Place | None], list[str | None]]:
    """The asked facts, their places (None where the tokenizer cannot write the answer), and what ranks first."""
    asked: list[Fact] = []
    place: list[Place | None] = []
    first: list[str | None] = []
    for pool, rows in zip(pools, read, strict=True):
        said, logs = (np.array(rows[name].to_list(), dtype=np.float64) for name in ("said", "logs"))
        writable = np.array([not np.isnan(column).any() for column in logs.T], dtype=np.bool_)
        counts = np.where(writable, pool.counts, 0).tolist()
        own = [one if writable[answer] else 0 for one, answer in zip(pool.own, pool.right, strict=True)]
        made = Preferences(_known(said), _known(logs), pool.right, pool.same(), counts, own)
        every = made.places(settings.draws or _STUDIES, settings.fdr)
        for fact, answer, one in zip(pool.rows[: pool.asked], pool.right, every, strict=False):
            usable = bool(writable[answer]) and one.candidates > 0
            asked.append(fact)
            place.append(one if usable else None)
            first.append(pool.forms[one.first][0] if usable else None)
    return asked, place, first


def _known(values: Floats) -> Floats:
    """With 0 for what is NaN; such an answer is no candidate."""
    return np.nan_to_num(values, nan=0.0)


def _table(
    asked: Sequence[Fact], place: Sequence[Place | None], given: Sequence[str], first: Sequence[str | None]
) -> pl.DataFrame:
    def column(name: str) -> list[float | None]:
        return [None if one is None else getattr(one, name) for one in place]

    names = ("relation", "subject", "object", "part")
    return pl.DataFrame(
        {
            "fact_id": [fact.id for fact in asked],
            **{name: [getattr(fact, name) for fact in asked] for name in names},
            "label": list(given),
            "p_value": column("p_value"),
            "rank": column("rank"),
            "candidates": column("candidates"),
            "gain": column("gain"),
            "place": column("middle"),
            "low": column("low"),
            "high": column("high"),
            "first": list(first),
            "in_subject": [contains(fact.subject, fact.accepted) for fact in asked],
        },
        schema_overrides={
            **dict.fromkeys(("p_value", "gain", "place", "low", "high"), pl.Float64),
            **dict.fromkeys(("rank", "candidates"), pl.Int64),
            "first": pl.String,
        },
    )


def _found(
    table: pl.DataFrame,
    place: Sequence[Place | None],
    given: Sequence[str],
    settings: HiddenSettings,
    engine: Engine,
    seconds: float,
) -> HiddenFound:
    there = [one for one in place if one is not None]
    unwritable = len(place) - len(there)
    unranked = (
        f"{unwritable:,} of {len(place):,} right answers cannot be ranked: this tokenizer writes no accepted form, or "
        "the relation has no other answer. They are undecided."
    )
    copied = table.filter((pl.col("label") == HIDDEN) & pl.col("in_subject")).height
    in_subject = (
        f"{copied:,} of the facts called hidden have their answer in the subject's name, where it can be copied."
    )
    return HiddenFound(
        level_0=len(place),
        hidden=list(given).count(HIDDEN),
        absent=list(given).count(ABSENT),
        undecided=list(given).count(UNDECIDED),
        fdr=settings.fdr,
        share=hidden_share(place),
        mean_rank=round(float(np.mean([one.middle for one in there])), 6) if there else None,
        candidates=round(float(np.mean([one.candidates for one in there])), 2) if there else None,
        method=METHOD,
        notes=[
            *([unranked] if unwritable else []),
            *([in_subject] if copied else []),
            *engine_notes(engine, draws=False),
        ],
        seconds=round(seconds, 3),
    )
