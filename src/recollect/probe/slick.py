"""SliCK (Gekhman et al. 2024, arXiv 2405.05904): another way to sort facts by how well a model knows them.

Ten random 4-shot prompts of the same relation; after each one greedy and 16 sampled answers (T = 0.5, top-k 40), judged
by exact match. HighlyKnown: every greedy answer right; MaybeKnown: some; WeaklyKnown: no greedy but some sampled answer
right; Unknown: none. Our choices [open]: the layout "Q: …\\nA: …", examples from the train part, and that an answer is
the first line without surrounding blanks and a closing full stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from recollect.core.random import draw
from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.core.workspace.result import Result
from recollect.engines import find_engine
from recollect.errors import InputError
from recollect.facts import Fact, FactSet, load_facts
from recollect.generate import Ask, Engine, Sampling, engine_notes
from recollect.generate.encoding import accepted_paths, check_context, unreachable
from recollect.match import MATCHER_VERSION, exact
from recollect.models import LoadedModel
from recollect.probe.jobs import choice_inputs, chosen_facts, cut
from recollect.probe.settings import AskedFacts

CATEGORIES = ("Unknown", "WeaklyKnown", "MaybeKnown", "HighlyKnown")
_FACTS_PER_PART = 8


class SlickSettings(AskedFacts):
    """Sort facts into SliCK's four categories (Unknown, WeaklyKnown, MaybeKnown, HighlyKnown).

    Examples:
        >>> from recollect import SlickSettings
        >>> SlickSettings.make(model="pocket", prompts=4).prompts
        4
    """

    runtime_only: ClassVar[set[str]] = {"model", "facts", "revision", "trust_remote_code"}

    prompts: Annotated[int, Field(ge=1)] = 10
    """Few-shot prompts per fact, each with its own random examples."""
    shots: Annotated[int, Field(ge=0)] = 4
    """Examples of the same relation in a prompt."""
    samples: Annotated[int, Field(ge=1)] = 16
    """Sampled answers per prompt, beside the greedy one."""
    temperature: Annotated[float, Field(gt=0)] = 0.5
    """Softmax temperature of the sampled answers."""
    top_k: Annotated[int, Field(ge=0)] = 40
    """Sample from the k most likely tokens; 0 is all."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 16
    """Longest answer in tokens."""
    seed: int = 0
    """Decides the examples and the draws."""


class SlickFound(Result):
    """What a grading found; the facts themselves are in its slick.parquet."""

    facts: int
    categories: dict[str, int]
    """Facts in each of Unknown, WeaklyKnown, MaybeKnown, HighlyKnown."""
    notes: list[str] = []
    seconds: float


@dataclass(frozen=True)
class SlickResult:
    """A finished grading: `path` holds slick.parquet (fact_id, relation, part, category, counts)."""

    path: Path
    categories: pl.DataFrame
    found: SlickFound


def category(greedy_right: int, greedy: int, sampled_right: int) -> str:
    """SliCK's category of a fact from its counts."""
    if greedy_right == greedy:
        return "HighlyKnown"
    if greedy_right > 0:
        return "MaybeKnown"
    return "WeaklyKnown" if sampled_right > 0 else "Unknown"


def run_slick(
    settings: SlickSettings,
    facts: FactSet | None = None,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
    loaded: LoadedModel | None = None,
) -> SlickResult:
    """Grade the facts; resumable after every few facts. Raises InputError when a relation has too few examples.

    `facts` and `loaded` save reading what the settings name again when the caller holds it.

    Examples:
        >>> from recollect import SlickSettings, run_slick
        >>> result = run_slick(SlickSettings.make(limit=4, prompts=2, samples=2))
        >>> result.found.categories
        {'Unknown': ..., 'WeaklyKnown': ..., 'MaybeKnown': ..., 'HighlyKnown': ...}
    """
    facts = load_facts(settings.facts) if facts is None else facts
    model = find_engine(settings, loaded)
    settings = settings.run_by(model)
    chosen = chosen_facts(facts, settings)
    examples = _examples(chosen, facts, settings)
    inputs = {
        **model.inputs,
        "facts": facts.fingerprint(),
        "matcher": MATCHER_VERSION,
        **choice_inputs(facts, settings),
        # once consumed from one stream, so an older step with examples is another one
        **({"examples": "drawn by fact"} if settings.shots else {}),
    }
    with open_step("slick", settings, inputs, out, root) as step:
        if not step.done:
            started = time.monotonic()
            engine = model.load()
            engine.self_test(settings.temperature, settings.top_k)
            step.pin(facts_per_part=_FACTS_PER_PART, threads=engine.machine.threads)
            parts = cut(chosen.facts, int(step.plan["facts_per_part"]))
            done = 0
            for index, part in enumerate(parts):
                if not step.has_part(index):
                    step.write_part(index, _grade(engine, part, examples, settings))
                done += len(part)
                if progress is not None:
                    progress(done, len(chosen))
            table = step.read_parts(len(parts))
            step.write_table("slick.parquet", table)
            found = SlickFound(
                facts=len(chosen),
                categories={name: int((table["category"] == name).sum()) for name in CATEGORIES},
                notes=[*_unreachable(engine, chosen, settings), *engine_notes(engine)],
                seconds=round(time.monotonic() - started, 3),
            )
            step.finish(found)
        return SlickResult(step.path, step.read_table("slick.parquet"), SlickFound.read(step.path))


def _examples(chosen: FactSet, facts: FactSet, settings: SlickSettings) -> dict[str, list[Fact]]:
    """Where each relation's few-shot examples come from: its train facts, else all of its facts."""
    pools: dict[str, list[Fact]] = {}
    for relation in chosen.relations:
        every = [fact for fact in facts if fact.relation == relation]
        train = [fact for fact in every if fact.split == "train"]
        pool = train if len(train) > settings.shots else every
        if len(pool) <= settings.shots:
            raise InputError(
                f"relation {relation} has {len(pool)} facts, but a prompt needs {settings.shots} others as examples. "
                "Lower --shots or give more facts."
            )
        pools[relation] = pool
    return pools


def few_shot_prompt(fact: Fact, pool: Sequence[Fact], shots: int, seed: int, number: int) -> str:
    """The prompt: `shots` other facts of the pool with their answers, then the fact's question.

    A fact more or less in the pool changes at most one of those shown.
    """
    others = nsmallest(
        shots,
        (other for other in pool if other.id != fact.id),
        key=lambda other: draw(seed, "slick", fact.id, str(number), other.id),
    )
    shown = [f"Q: {other.question}\nA: {other.object}\n\n" for other in others]
    return "".join(shown) + f"Q: {fact.question}\nA:"


def _unreachable(engine: Engine, facts: FactSet, settings: SlickSettings) -> list[str]:
    """What cannot be answered within the limit, whatever the model knows."""
    asked = [f"Q: {fact.question}\nA:" for fact in facts]
    paths = accepted_paths(engine, asked, [fact.accepted for fact in facts])
    shortest = [path.shortest for path in paths]
    return unreachable([fact.object for fact in facts], shortest, settings.max_new_tokens).notes


def _grade(
    engine: Engine, part: Sequence[Fact], pools: Mapping[str, list[Fact]], settings: SlickSettings
) -> pl.DataFrame:
    owners = [(fact, number) for fact in part for number in range(settings.prompts)]
    ids = engine.encode(
        [few_shot_prompt(fact, pools[fact.relation], settings.shots, settings.seed, number) for fact, number in owners]
    )
    names = [f"a prompt of fact {fact.id}" for fact, _ in owners]
    remedy = "Lower --shots or --max-new-tokens, or leave the fact out."
    check_context(engine.context, ids, names, settings.max_new_tokens, remedy)
    best = engine.greedy(ids, settings.max_new_tokens)
    asks = [Ask(row, fact.id, number, settings.samples) for row, (fact, number) in zip(ids, owners, strict=True)]
    how = Sampling(settings.temperature, settings.max_new_tokens, settings.top_k, settings.seed)
    drawn = [
        one
        for some in cut(asks, engine.batch_size(settings.samples))
        for one in engine.sample(some, how, lambda at, said: "\n" in engine.decode(said).lstrip())
    ]
    greedy_right = {fact.id: 0 for fact in part}
    sampled_right = {fact.id: 0 for fact in part}
    for (fact, _), said, one in zip(owners, best, drawn, strict=True):
        greedy_right[fact.id] += exact(engine.decode(said), fact.accepted)
        sampled_right[fact.id] += sum(exact(engine.decode(text), fact.accepted) for text in one.draws)
    return pl.DataFrame(
        {
            "fact_id": [fact.id for fact in part],
            "relation": [fact.relation for fact in part],
            "part": [fact.part for fact in part],
            "category": [category(greedy_right[fact.id], settings.prompts, sampled_right[fact.id]) for fact in part],
            "greedy_right": [greedy_right[fact.id] for fact in part],
            "sampled_right": [sampled_right[fact.id] for fact in part],
        }
    )
