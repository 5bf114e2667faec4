"""SliCK (Gekhman et al. 2024, arXiv 2405.05904): another way to sort facts by how well a model knows them.

Ten random 4-shot prompts of the same relation; after each one greedy and 16 sampled answers (T = 0.5, top-k 40), judged
by exact match. HighlyKnown: every greedy answer right; MaybeKnown: some; WeaklyKnown: no greedy but some sampled answer
right; Unknown: none. Our choices [open]: the layout "Q: …\\nA: …", examples from the train part, and that an answer is
the first line without surrounding blanks and a closing full stop.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.errors import InputError
from recollect.facts import Fact, FactSet
from recollect.generate import draw_keys, greedy, prefill, sample, self_test, stop_tokens
from recollect.generate.answers import accepted_paths, unreachable
from recollect.generate.encoding import check_context, decode, prompt_ids
from recollect.match import MATCHER_VERSION, exact
from recollect.models import LoadedModel, ModelSettings, check_folder, check_held, find_model, load, model_fingerprint
from recollect.probe.jobs import chosen_facts

CATEGORIES = ("Unknown", "WeaklyKnown", "MaybeKnown", "HighlyKnown")
_FACTS_PER_PART = 8


class SlickSettings(ModelSettings):
    """Sort facts into SliCK's four categories (Unknown, WeaklyKnown, MaybeKnown, HighlyKnown)."""

    runtime_only: ClassVar[set[str]] = {"model", "facts", "revision", "trust_remote_code"}

    facts: str = "pocket"
    """A facts step directory, a data file, or "pocket"."""
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
    parts: str = "train,test,ood"
    """Which parts of the fact set to grade."""
    limit: Annotated[int | None, Field(ge=1)] = None
    """Grade at most so many facts, spread evenly over parts and relations."""
    seed: int = 0
    """Decides the examples and the draws."""


@dataclass(frozen=True)
class SlickResult:
    """A finished grading: `path` holds slick.parquet (fact_id, relation, part, category, counts)."""

    path: Path
    categories: pl.DataFrame
    metrics: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """The command's JSON answer."""
        return {**self.metrics, "out": str(self.path)}


def category(greedy_right: int, greedy: int, sampled_right: int) -> str:
    """SliCK's category of a fact from its counts."""
    if greedy_right == greedy:
        return "HighlyKnown"
    if greedy_right > 0:
        return "MaybeKnown"
    return "WeaklyKnown" if sampled_right > 0 else "Unknown"


def run_slick(
    settings: SlickSettings,
    facts: FactSet,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
    loaded: LoadedModel | None = None,
) -> SlickResult:
    """Grade the facts; resumable after every few facts. Raises InputError when a relation has too few examples."""
    folder = find_model(settings.model, settings.revision)
    check_folder(folder, trust_remote_code=settings.trust_remote_code, revision=settings.revision)
    if loaded:
        check_held(settings, loaded)
    chosen = chosen_facts(facts, settings.parts, settings.limit, settings.seed)
    examples = _examples(chosen, facts, settings)
    inputs = {
        "model": loaded.fingerprint if loaded else model_fingerprint(folder),
        "facts": facts.fingerprint(),
        "matcher": MATCHER_VERSION,
    }
    with open_step("slick", settings.fingerprint_values(), inputs, out, root) as step:
        if not step.done:
            started = time.monotonic()
            model = loaded or load(settings)
            self_test(model.model, model.tokenizer, temperature=settings.temperature, top_k=settings.top_k)
            step.pin(facts_per_part=_FACTS_PER_PART, threads=model.machine.threads)
            size = int(step.plan["facts_per_part"])
            parts = [chosen.facts[at : at + size] for at in range(0, len(chosen), size)]
            for index, part in enumerate(parts):
                if not step.has_part(index):
                    step.write_part(index, _grade(model, part, examples, settings))
                if progress is not None:
                    progress(min(len(chosen), (index + 1) * size), len(chosen))
            table = step.read_parts(len(parts))
            step.write_table("slick.parquet", table)
            counts = {name: int((table["category"] == name).sum()) for name in CATEGORIES}
            seconds = round(time.monotonic() - started, 3)
            notes = _notes(model, chosen, settings)
            step.finish({"facts": len(chosen), "categories": counts, "notes": notes, "seconds": seconds})
        return SlickResult(step.path, step.read_table("slick.parquet"), step.metrics)


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
    """The prompt: `shots` other facts of the pool with their answers, then the fact's question."""
    rng = random.Random(f"slick-{seed}-{fact.id}-{number}")
    others = rng.sample([other for other in pool if other.id != fact.id], shots)
    shown = [f"Q: {other.question}\nA: {other.object}\n\n" for other in others]
    return "".join(shown) + f"Q: {fact.question}\nA:"


def _notes(loaded: LoadedModel, facts: FactSet, settings: SlickSettings) -> list[str]:
    """What cannot be answered within the limit, whatever the model knows."""
    asked = [f"Q: {fact.question}\nA:" for fact in facts]
    paths = accepted_paths(loaded.tokenizer, asked, [fact.accepted for fact in facts])
    found = unreachable([fact.object for fact in facts], [path.shortest for path in paths], settings.max_new_tokens)
    return found.notes(len(facts), settings.max_new_tokens)


def _grade(
    loaded: LoadedModel, part: Sequence[Fact], pools: dict[str, list[Fact]], settings: SlickSettings
) -> pl.DataFrame:
    tokenizer = loaded.tokenizer
    prompts = [
        few_shot_prompt(fact, pools[fact.relation], settings.shots, settings.seed, number)
        for fact in part
        for number in range(settings.prompts)
    ]
    owners = [fact for fact in part for _ in range(settings.prompts)]
    ids = prompt_ids(tokenizer, prompts)
    names = [f"a prompt of fact {fact.id}" for fact in owners]
    remedy = "Lower --shots or --max-new-tokens, or leave the fact out."
    check_context(loaded.model.config, ids, names, settings.max_new_tokens, remedy)
    best = [decode(tokenizer, said) for said in greedy(loaded.model, tokenizer, ids, settings.max_new_tokens)]
    rows = [row for row in range(len(prompts)) for _ in range(settings.samples)]
    keys = draw_keys(
        settings.seed,
        [owners[row].id for row in rows],
        [row % settings.prompts for row in rows],
        [draw for _ in prompts for draw in range(settings.samples)],
    )
    drawn = sample(
        prefill(loaded.model, ids, tokenizer.pad_token_id or 0),
        rows,
        keys,
        temperature=settings.temperature,
        max_new_tokens=settings.max_new_tokens,
        stop_ids=stop_tokens(loaded.model, tokenizer),
        top_k=settings.top_k,
        settled=lambda row, said: "\n" in decode(tokenizer, said).lstrip(),
    )
    texts = [decode(tokenizer, said) for said in drawn]
    greedy_right = {fact.id: 0 for fact in part}
    sampled_right = {fact.id: 0 for fact in part}
    for owner, text in zip(owners, best, strict=True):
        greedy_right[owner.id] += exact(text, owner.accepted)
    for row, text in zip(rows, texts, strict=True):
        sampled_right[owners[row].id] += exact(text, owners[row].accepted)
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
