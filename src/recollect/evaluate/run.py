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

import polars as pl

from recollect.chat.asking import Asking, asked_for, settled
from recollect.core.estimates import LEAST_PER_LEVEL
from recollect.core.llm import Bound
from recollect.core.random import LIMIT, take
from recollect.core.settings import source_of
from recollect.core.workspace import DEFAULT_ROOT, Step, open_step, step_input
from recollect.core.workspace.files import digest_of
from recollect.engines import FoundModel, check_named, find_engine
from recollect.errors import InputError
from recollect.evaluate.accuracy import accuracies, accuracy_table
from recollect.evaluate.agreement import read_hand_labels
from recollect.evaluate.conversations import Talks, check_prompt, for_talks, held_talks, read_talks, spoken
from recollect.evaluate.found import EvaluateFound
from recollect.evaluate.judges import Judges, asked_of, verdict_columns, with_right
from recollect.evaluate.own_words import EXPECTED, WORDS, expected_of, own_words, words_input, words_of
from recollect.evaluate.pages import PageTask, for_pages, page_task, write_page_scores
from recollect.evaluate.prompts import SLACK, check_fits, longest_answer, prompts_of
from recollect.evaluate.settings import EvaluateSettings
from recollect.evaluate.shots import Example, cut_answer, draw_examples
from recollect.evaluate.units import CONVERSATION
from recollect.facts import Fact, FactSet, load_facts
from recollect.generate import Engine, engine_notes
from recollect.generate.encoding import Paths, unreachable
from recollect.match import (
    DEFAULT_JUDGE,
    MATCHER_VERSION,
    Answer,
    Asked,
    Contained,
    Judge,
    Matcher,
    check_all,
    judge_of,
)
from recollect.models import LoadedModel
from recollect.select import levels_fingerprint, read_levels

_OUTPUTS = pl.Schema(
    {
        "fact_id": pl.String(),
        "part": pl.String(),
        "relation": pl.String(),
        "subject": pl.String(),
        "level": pl.Int64(),
        "question": pl.String(),
        "object": pl.String(),
        "synonyms": pl.List(pl.String()),
        "output": pl.String(),
    }
)


@dataclass(frozen=True)
class EvaluateResult:
    """The step directory; what was found and its tables are read on demand."""

    path: Path

    @cached_property
    def found(self) -> EvaluateFound:
        """The numbers, and notes on them."""
        return EvaluateFound.read(self.path)

    def outputs(self) -> pl.DataFrame:
        """One row per question: the answer given, and each judge's verdict; the main judge's stands under `right`."""
        return with_right(pl.read_parquet(self.path / "outputs.parquet", glob=False))

    def accuracy(self) -> pl.DataFrame:
        """Accuracies in percent by part, level and judge (column matcher)."""
        return pl.read_parquet(self.path / "accuracy.parquet", glob=False)

    def expected(self) -> pl.DataFrame | None:
        """With `own_words` or `words_of`: one row per token of those words (item, unit = the fact, the probability that
        the model gives it, part)."""
        path = self.path / EXPECTED
        return pl.read_parquet(path, glob=False) if path.is_file() else None

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
    model: FoundModel | None = None,
    tell: Callable[[str], None] | None = None,
) -> EvaluateResult:
    """Answer the questions of the wanted parts and store `outputs.parquet` and `accuracy.parquet`.

    Facts and levels come from the arguments, else from the paths in the settings. `loaded`, when given, is the model
    that `settings` names, and so is `model`, with its engine (`recollect.together`). `tell` is told, before the asking,
    of answers that are longer than they may be. A killed run resumes at the batch it was at. Raises InputError when
    there is no question to ask, and ModelError for a broken model.

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
    talks = None if settings.data is None else read_talks(settings)
    if talks is not None:
        settings, facts = for_talks(settings), talks.facts
        sources = {**sources, "facts": str(settings.data)}
    facts = load_facts(settings.facts) if facts is None else facts
    if levels is None and settings.levels is not None:
        levels = read_levels(settings.levels)
    asked = asked_facts(settings, facts)
    if levels is not None:
        _check_levels(asked, levels)
    talks = talks or held_talks(asked)
    task = None if talks else page_task(settings, facts)
    settings = for_pages(settings) if task else settings
    judges = settings.judges()
    judges.check(asked)
    labels = None if settings.judge_labels is None else read_hand_labels(settings.judge_labels, facts)
    model = model or find_engine(settings, loaded)
    settings = settings.run_by(model).model_copy(update={"prompt": settled(asked_for(settings), model.ref)})
    if talks is not None:
        check_prompt(settings)
    inputs = {
        **model.inputs,
        "facts": facts.fingerprint(),
        "levels": None if levels is None else levels_fingerprint(levels),
        "matcher": MATCHER_VERSION,
        **judges.inputs(),
        **({"judge_labels": digest_of(settings.judge_labels)} if settings.judge_labels else {}),
        **({"data": talks.fingerprint} if talks and talks.fingerprint else {}),
        **({"schema": task.schema.text()} if task else {}),
        **words_input(settings.words_of),
    }
    with open_step("evaluate", settings, inputs, out, root) as step:
        if not step.done:
            examples = draw_examples(facts, asked, settings.shots, settings.seed)
            engine = Asking.of(settings).engine(model.load())
            found = _Work(step, settings, asked, examples, levels, judges, talks or task).done(engine, progress, tell)
            agreed = {} if labels is None else {one.name: labels.compare(one) for one in judges.named}
            spent = judges.llm.spent if judges.llm else None
            step.finish(found.model_copy(update={"agreement": agreed, "llm": spent, "sources": sources}))
        return EvaluateResult(step.path)


def check_evaluate(settings: EvaluateSettings) -> None:
    """Read facts, levels and the model's folder, which `run_evaluate` does first, without torch, which takes seconds.

    Raises what that raises for them.
    """
    talks = None if settings.data is None else read_talks(settings)
    asked = asked_facts(settings, load_facts(settings.facts) if talks is None else talks.facts)
    if settings.levels is not None:
        _check_levels(asked, read_levels(settings.levels))
    check_named(settings)


@dataclass(frozen=True)
class _Work:
    """One evaluation: what is asked, and who judges it."""

    step: Step
    settings: EvaluateSettings
    asked: Sequence[Fact]
    examples: Sequence[Sequence[Example]]
    levels: pl.DataFrame | None
    judges: Judges
    kind: PageTask | Talks | None
    """What the facts are, where they are no facts."""

    def done(
        self, engine: Engine, progress: Callable[[int, int], None] | None, tell: Callable[[str], None] | None
    ) -> EvaluateFound:
        """Ask, judge and store; what it comes to."""
        step, settings, asked, judges = self.step, self.settings, self.asked, self.judges
        asking = Asking.of(settings)
        task = self.kind if isinstance(self.kind, PageTask) else None
        talks = self.kind if isinstance(self.kind, Talks) else None
        paths = prompts_of(asking, asked, self.examples, engine, talks)
        longest = longest_answer(settings, paths, engine.context)
        unreached = unreachable([fact.object for fact in asked], [path.shortest for path in paths], longest)
        notes = self.judges.main.of_lengths(unreached.notes)
        if tell is not None:  # before the work, which may take hours
            for note in notes:
                tell(note)
        notes = [*notes, *self._own_words(engine)]
        answers = _answers(step, settings, asked, paths, engine, longest, progress)
        if not asking.chat:  # there a model ends its turn itself
            answers = {
                fact.id: cut_answer(answers[fact.id], shown, settings.prompt_template)
                for fact, shown in zip(asked, self.examples, strict=True)
            }
        thoughts = {}
        if talks:
            said = {name: spoken(text) for name, text in answers.items()}
            answers = {name: answer for name, (answer, _) in said.items()}
            thoughts = {name: thought for name, (_, thought) in said.items() if thought}
        outputs = _judged(asked, answers, self.levels, judges)
        if thoughts:
            column = [thoughts.get(fact.id, "") for fact in asked]
            outputs = outputs.with_columns(pl.Series("reasoning", column, dtype=pl.String))
        names = judges.names
        step.write_table("outputs.parquet", outputs)
        step.write_table("accuracy.parquet", accuracy_table(outputs, names, settings.least_per_level))
        by_judge = {} if task else {name: accuracies(outputs, settings.least_per_level, name) for name in names}
        main = judges.main.name
        said_by = [] if main == DEFAULT_JUDGE else [f"Right or wrong is what the judge {main} says."]
        return EvaluateFound(
            accuracy=by_judge.get(main, {}),
            judge=main,
            judges=by_judge,
            max_new_tokens=longest,
            prompt=asking.written,
            pages=write_page_scores(step, task, asked, answers, settings.decode) if task else None,
            notes=[*said_by, *(talks.notes if talks else ()), *notes, *engine_notes(engine, draws=False)],
        )

    def _own_words(self, engine: Engine) -> list[str]:
        """Go on with some texts, or score another model's words, where that is wanted; a note where none can be."""
        settings = self.settings
        if not settings.own_words and settings.words_of is None:
            return []
        if not engine.scores_at(1.0):
            return [f"No words were compared: the engine {engine.name!r} gives no probabilities of given tokens."]
        if settings.words_of is not None:
            words = words_of(settings.words_of)
        else:
            words = own_words(engine, self.asked, settings.own_words, settings.seed)
            self.step.write_table(WORDS, words)
        self.step.write_table(EXPECTED, expected_of(engine, words))
        return []


def judge_estimate(settings: EvaluateSettings, facts: FactSet | None = None) -> Bound | None:
    """What the judge llm would cost at most, about; None where it is not asked. Nothing is asked or written."""
    llm = settings.judges().llm
    if llm is None:
        return None
    if settings.data is not None:
        settings, facts = for_talks(settings), read_talks(settings).facts
    facts = load_facts(settings.facts) if facts is None else facts
    asked = asked_facts(settings, facts)
    longest = max(len(form.encode()) for fact in asked for form in fact.accepted)
    tokens = longest + SLACK if settings.max_new_tokens == "auto" else settings.max_new_tokens
    coming = [Answer("?", fact.accepted, asked_of(fact)) for fact in asked]
    sample = [] if settings.judge_labels is None else read_hand_labels(settings.judge_labels, facts).answers
    return llm.bound_before([*coming, *sample], tokens)


def rescore_answers(
    path: Path,
    facts: FactSet | None = None,
    matcher: str | Judge | Matcher = DEFAULT_JUDGE,
    least_per_level: int = LEAST_PER_LEVEL,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Judge the stored outputs of an evaluate step again, without the model; returns an accuracy table.

    `matcher` is a judge, its name ("token-f1:0.6"), or a function of (text, accepted forms). The accepted forms are the
    stored ones, or those of `facts` when given. The step is left as it is; a function's rows carry its name. Raises
    InputError for answers that the judge can never judge.
    """
    answers = stored_answers(path, facts)
    outputs = pl.read_parquet(path / "outputs.parquet", glob=False)
    judge = judge_of(matcher) if isinstance(matcher, str) else matcher
    if isinstance(judge, Judge):
        check_all(judge, [(one.accepted, one.asked) for one in answers])
    else:
        judge = Contained(getattr(judge, "__name__", "custom"), judge)
    kept = [name for name in ("fact_id", "subject", CONVERSATION, "part", "level") if name in outputs.columns]
    judged = outputs.select(kept).with_columns(verdict_columns([judge], answers, DEFAULT_JUDGE, progress))
    return accuracy_table(judged, [judge.name], least_per_level)


def stored_answers(path: Path, facts: FactSet | None = None) -> list[Answer]:
    """The answers of an evaluate step with their stored accepted forms, or those of `facts` when given."""
    step_input(path, "evaluate")
    outputs = pl.read_parquet(path / "outputs.parquet", glob=False)
    if facts is None:
        return [
            Answer(
                row["output"],
                (row["object"], *row["synonyms"]),
                Asked(row["question"], tuple(row.get("choices") or ())),
            )
            for row in outputs.iter_rows(named=True)
        ]
    known = facts.only(outputs["fact_id"].to_list())
    return [
        Answer(output, fact.accepted, asked_of(fact))
        for output, fact in zip(outputs["output"].to_list(), known, strict=True)
    ]


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
    longest: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, str]:
    """The decoded answer to each fact, by fact id; finished batches are read back, the others are decoded."""
    plan = step.pin(batch_size=settings.batch_size, device=engine.machine.device, dtype=engine.machine.dtype)
    size = int(plan["batch_size"])
    prompts = [path.prompt for path in paths]
    check_fits(engine.context, asked, paths, longest)
    order = sorted(range(len(asked)), key=lambda index: (len(prompts[index]), index))
    count = math.ceil(len(order) / size)
    for index in range(count):
        batch = order[index * size : (index + 1) * size]
        if not step.has_part(index):
            tokens = engine.greedy([prompts[i] for i in batch], longest)
            texts = [engine.decode(ids) for ids in tokens]
            step.write_part(index, pl.DataFrame({"fact_id": [asked[i].id for i in batch], "output": texts}))
        if progress:
            progress(min((index + 1) * size, len(order)), len(order))
    table = step.read_parts(count)
    return dict(zip(table["fact_id"].to_list(), table["output"].to_list(), strict=True))


def _judged(
    asked: Sequence[Fact], answers: dict[str, str], levels: pl.DataFrame | None, judges: Judges
) -> pl.DataFrame:
    level_of: dict[str, int] = {} if levels is None else dict(levels.select("fact_id", "level").iter_rows())
    rows = []
    for fact in asked:
        known = (fact.id, fact.part, fact.relation, fact.subject, level_of.get(fact.id), fact.question)
        rows.append((*known, fact.object, list(fact.synonyms), answers[fact.id]))
    table = pl.DataFrame(rows, schema=_OUTPUTS, orient="row")
    if any(fact.choices for fact in asked):
        choices = [list(fact.choices) for fact in asked]
        table = table.with_columns(pl.Series("choices", choices, dtype=pl.List(pl.String)))
    if len(of := [fact.subject for fact in asked if fact.turns]) == len(asked):
        table = table.with_columns(pl.Series(CONVERSATION, of, dtype=pl.String))
    said = [Answer(answers[fact.id], fact.accepted, asked_of(fact)) for fact in asked]
    return table.with_columns(verdict_columns(judges.all, said, judges.main.name))
