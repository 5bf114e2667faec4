"""Ask a model every question, judge the answers, count.

Notable choices
- Greedy decoding of the fine-tuning prompt (a chat template's or the plain one), 16 new tokens (docs/studies.md §3).
- Questions are asked in order of prompt length, so a batch has little padding; the tables are in the order of
  the facts.
- The outputs are kept with every accepted form, so that they can be judged again without the model.
- Page examples (answers in JSON) are asked in the same way and scored by attribute, see `pages.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import model_validator

from recollect.chat.asking import Asking, Written, settled
from recollect.chat.frame import with_turns
from recollect.core.estimates import LEAST_PER_LEVEL
from recollect.core.random import LIMIT, take
from recollect.core.settings import source_of
from recollect.core.workspace import DEFAULT_ROOT, Step, open_step, step_input
from recollect.core.workspace.result import Result
from recollect.engines import find_engine
from recollect.errors import InputError
from recollect.evaluate.accuracy import Accuracy, accuracies, accuracy_table
from recollect.evaluate.pages import PagesAsked, for_pages, page_task, write_page_scores
from recollect.evaluate.settings import PARTS, EvaluateSettings
from recollect.evaluate.shots import Example, cut_answer, draw_examples, with_examples
from recollect.facts import Fact, FactSet, Part, load_facts
from recollect.generate import Engine, engine_notes
from recollect.generate.encoding import Paths, accepted_paths, check_context, unreachable
from recollect.match import MATCHER_VERSION, MATCHERS, Matcher, MatcherName, matcher_of
from recollect.models import LoadedModel
from recollect.select import levels_fingerprint, read_levels

_OUTPUTS = pl.Schema(
    {
        "fact_id": pl.String(),
        "part": pl.String(),
        "relation": pl.String(),
        "level": pl.Int64(),
        "question": pl.String(),
        "object": pl.String(),
        "synonyms": pl.List(pl.String()),
        "output": pl.String(),
        "contains": pl.Boolean(),
        "word": pl.Boolean(),
    }
)


class EvaluateFound(Result):
    """What an evaluation found: for facts by memory level, for pages by attribute."""

    accuracy: dict[Part, Accuracy] = {}
    """By part that was asked; empty for pages."""
    pages: PagesAsked | None = None
    """The scores of pages; None for facts."""
    prompt: Written = "plain"
    """What the questions were asked in; plain in a folder of an earlier version."""
    notes: list[str] = []
    """Lines for people about answers that no completion can hold or that the tokenizer cannot write."""
    sources: dict[str, str] = {}
    """Where model, facts and levels came from."""

    @property
    def part(self) -> Part:
        """The part that is told first: test, unless only others were asked."""
        return next((part for part in PARTS if part in self.accuracy), "test")

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, values: Any) -> Any:
        """Steps of earlier versions hold the first part's numbers at the top, the others by name."""
        if not isinstance(values, dict) or not {"micro_low", "by_attribute"} & set(values):
            return values
        rest = {name: values[name] for name in ("notes", "sources", "prompt") if name in values}
        if "by_attribute" in values:
            return {"pages": {name: value for name, value in values.items() if name not in rest}, **rest}
        first, means = values.get("part", "test"), values.get("word", {})
        parts = {first: values, **{part: values[part] for part in PARTS if values.get(part)}}
        return {
            "accuracy": {
                part: {
                    **numbers,
                    "word": {
                        f"word_{mean}": means.get(mean if part == first else f"{part}_{mean}")
                        for mean in ("macro", "micro")
                    },
                }
                for part, numbers in parts.items()
                if numbers["n"]
            },
            **rest,
        }


@dataclass(frozen=True)
class EvaluateResult:
    """The step directory; what was found and its tables are read on demand."""

    path: Path

    @cached_property
    def found(self) -> EvaluateFound:
        """The numbers, and notes on them."""
        return EvaluateFound.read(self.path)

    def outputs(self) -> pl.DataFrame:
        """One row per question: the answer given, and each matcher's verdict."""
        return pl.read_parquet(self.path / "outputs.parquet", glob=False)

    def accuracy(self) -> pl.DataFrame:
        """Accuracies in percent by part, level and matcher."""
        return pl.read_parquet(self.path / "accuracy.parquet", glob=False)

    def items(self) -> pl.DataFrame | None:
        """For pages: one row per true value (item, unit = page, group = attribute, right, part)."""
        path = self.path / "items.parquet"
        return pl.read_parquet(path, glob=False) if path.is_file() else None


def run_evaluate(
    settings: EvaluateSettings,
    facts: FactSet | None = None,
    levels: pl.DataFrame | None = None,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
    loaded: LoadedModel | None = None,
) -> EvaluateResult:
    """Answer the questions of the wanted parts and store `outputs.parquet` and `accuracy.parquet`.

    Facts and levels come from the arguments, else from the paths in the settings. `loaded`, when given, is the model
    that `settings` names. A killed run resumes at the batch it was at. Raises InputError when there is no question to
    ask, and ModelError for a broken model.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect import EvaluateSettings, run_evaluate
        >>> result = run_evaluate(EvaluateSettings.make(model=str(tuned), parts="test", limit=20))
        >>> result.found.accuracy["test"].n
        20
        >>> result.outputs().height
        20
    """
    given = {"facts": facts, "levels": levels}
    sources = {"model": settings.model, **{name: source_of(settings, name, one) for name, one in given.items()}}
    facts = load_facts(settings.facts) if facts is None else facts
    if levels is None and settings.levels is not None:
        levels = read_levels(settings.levels)
    asked = asked_facts(settings, facts)
    if levels is not None:
        _check_levels(asked, levels)
    task = page_task(settings, facts)
    settings = for_pages(settings) if task else settings
    model = find_engine(settings, loaded)
    settings = settings.run_by(model).model_copy(update={"prompt": settled(settings.prompt, model.ref)})
    inputs = {
        **model.inputs,
        "facts": facts.fingerprint(),
        "levels": None if levels is None else levels_fingerprint(levels),
        "matcher": MATCHER_VERSION,
        **({"schema": task.schema.text()} if task else {}),
    }
    with open_step("evaluate", settings, inputs, out, root) as step:
        if not step.done:
            asking = Asking.of(settings)
            engine = asking.engine(model.load())
            examples = draw_examples(facts, asked, settings.shots, settings.seed)
            paths = _paths(asking, asked, examples, engine)
            answers = _answers(step, settings, asked, paths, engine, progress)
            if not asking.chat:  # there a model ends its turn itself
                answers = {
                    fact.id: cut_answer(answers[fact.id], shown, settings.prompt_template)
                    for fact, shown in zip(asked, examples, strict=True)
                }
            outputs = _judged(asked, answers, levels)
            step.write_table("outputs.parquet", outputs)
            step.write_table("accuracy.parquet", accuracy_table(outputs, list(MATCHERS), settings.least_per_level))
            found = EvaluateFound(
                accuracy={} if task else accuracies(outputs, settings.least_per_level),
                pages=write_page_scores(step, task, asked, answers, settings.decode) if task else None,
                prompt=asking.written,
                notes=[*_notes(settings, asked, paths), *engine_notes(engine, draws=False)],
                sources=sources,
            )
            step.finish(found)
        return EvaluateResult(step.path)


def rescore_answers(
    path: Path,
    facts: FactSet | None = None,
    matcher: MatcherName | Matcher = "contains",
    least_per_level: int = LEAST_PER_LEVEL,
) -> pl.DataFrame:
    """Judge the stored outputs of an evaluate step again, without the model; returns an accuracy table.

    `matcher` is a name or a function of (text, accepted forms). The accepted forms are the stored ones, or
    those of `facts` when given. The step is left as it is; a function's rows carry its name.
    """
    step_input(path, "evaluate")
    outputs = pl.read_parquet(path / "outputs.parquet", glob=False)
    judge = matcher_of(matcher) if isinstance(matcher, str) else matcher
    name = matcher if isinstance(matcher, str) else getattr(matcher, "__name__", "custom")
    known = None if facts is None else facts.only(outputs["fact_id"].to_list())
    verdicts = [
        judge(row["output"], known[row["fact_id"]].accepted if known else (row["object"], *row["synonyms"]))
        for row in outputs.iter_rows(named=True)
    ]
    judged = outputs.select("part", "level").with_columns(pl.Series(name, verdicts, dtype=pl.Boolean))
    return accuracy_table(judged, [name], least_per_level)


def facts_of_part(facts: FactSet, part: str, limit: int | None, seed: int) -> list[Fact]:
    """At most `limit` facts of a part, the same for every step that asks with this seed; in their own order."""
    return take([fact for fact in facts if fact.part == part], limit, seed, LIMIT, lambda fact: fact.id)


def asked_facts(settings: EvaluateSettings, facts: FactSet) -> list[Fact]:
    """The facts to ask, part by part, in the order of the fact set; raises InputError where there is none."""
    asked: list[Fact] = []
    for part in settings.parts.split(","):
        asked += facts_of_part(facts, part, settings.limit, settings.seed)
    if not asked:
        raise InputError(
            f"the fact set {facts.name!r} has no fact in the parts {settings.parts}; it has {facts.counts()}."
        )
    return asked


def _check_levels(asked: Sequence[Fact], levels: pl.DataFrame) -> None:
    known = set(levels["fact_id"])
    if known and not any(fact.id in known for fact in asked):
        raise InputError(
            f"none of the {len(asked):,} facts asked is among the {len(known):,} of the levels given. Give --levels "
            "the probe of these facts, or leave it out."
        )


def _answers(
    step: Step,
    settings: EvaluateSettings,
    asked: Sequence[Fact],
    paths: Sequence[Paths],
    engine: Engine,
    progress: Callable[[int, int], None] | None,
) -> dict[str, str]:
    """The decoded answer to each fact, by fact id; finished batches are read back, the others are decoded."""
    plan = step.pin(batch_size=settings.batch_size, device=engine.machine.device, dtype=engine.machine.dtype)
    size = int(plan["batch_size"])
    prompts = [path.prompt for path in paths]
    remedy = "Lower --max-new-tokens, leave the fact out or take a model with more context."
    names = [f"the prompt of fact {fact.id}" for fact in asked]
    check_context(engine.context, prompts, names, settings.max_new_tokens, remedy)
    order = sorted(range(len(asked)), key=lambda index: (len(prompts[index]), index))
    count = math.ceil(len(order) / size)
    for index in range(count):
        batch = order[index * size : (index + 1) * size]
        if not step.has_part(index):
            tokens = engine.greedy([prompts[i] for i in batch], settings.max_new_tokens)
            texts = [engine.decode(ids) for ids in tokens]
            step.write_part(index, pl.DataFrame({"fact_id": [asked[i].id for i in batch], "output": texts}))
        if progress:
            progress(min((index + 1) * size, len(order)), len(order))
    table = step.read_parts(count)
    return dict(zip(table["fact_id"].to_list(), table["output"].to_list(), strict=True))


def _paths(asking: Asking, asked: Sequence[Fact], examples: Sequence[Sequence[Example]], engine: Engine) -> list[Paths]:
    """The prompt of each question, its examples above it, and what would be a right answer to it."""
    pairs = [(shown, fact.question) for fact, shown in zip(asked, examples, strict=True)]
    if asking.chat:
        prompts = [with_turns(shown, question) for shown, question in pairs]
    else:
        prompts = [with_examples(shown, question, asking.template) for shown, question in pairs]
    return accepted_paths(engine, prompts, [fact.accepted for fact in asked])


def _notes(settings: EvaluateSettings, asked: Sequence[Fact], paths: Sequence[Paths]) -> list[str]:
    """What cannot be answered within the limit, whatever the model knows."""
    shortest = [path.shortest for path in paths]
    return unreachable([fact.object for fact in asked], shortest, settings.max_new_tokens).notes


def _judged(asked: Sequence[Fact], answers: dict[str, str], levels: pl.DataFrame | None) -> pl.DataFrame:
    level_of: dict[str, int] = {} if levels is None else dict(levels.select("fact_id", "level").iter_rows())
    rows = []
    for fact in asked:
        known = (fact.id, fact.part, fact.relation, level_of.get(fact.id), fact.question, fact.object)
        text = answers[fact.id]
        verdicts = (judge(text, fact.accepted) for judge in MATCHERS.values())
        rows.append((*known, list(fact.synonyms), text, *verdicts))
    return pl.DataFrame(rows, schema=_OUTPUTS, orient="row")
