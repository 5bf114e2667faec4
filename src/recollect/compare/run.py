"""The comparison step: models on the same questions, which answers flipped, and whether the difference is real.

Notable choices
- Each model is an evaluation of its own inside the step, so a killed comparison resumes at the batch it was at, and any
  judge that an evaluation knows decides here too. Finished evaluations can be given instead.
- A prompt is the cheapest training: the first model is asked once more with a few training facts before each question.
- Models against the first are one family of claims, corrected for their number by Holm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from recollect.chat.asking import chat_input, settled
from recollect.compare.asked import Answers, read_answers, same_questions, short_names
from recollect.compare.chance import chance_of_a_guess
from recollect.compare.favourite import favourites
from recollect.compare.flips import Flips, count_flips
from recollect.compare.found import CompareFound, CompareResult, Comparison, Contender
from recollect.compare.settings import CompareSettings, Kind
from recollect.core.estimates import Estimate, by_cluster, holm, proportion
from recollect.core.workspace import DEFAULT_ROOT, Step, open_step, step_input
from recollect.engines import check_named, find_engine
from recollect.errors import InputError
from recollect.evaluate import check_evaluate, run_evaluate
from recollect.facts import FactSet, Part, load_facts
from recollect.match import MATCHER_VERSION
from recollect.select import levels_fingerprint, read_levels

Progress = Callable[[int, int], None]
_FLIPS = pl.Schema(
    {
        "first": pl.String(),
        "second": pl.String(),
        "flip": pl.String(),
        "part": pl.String(),
        "relation": pl.String(),
        "level": pl.Int64(),
        "fact_id": pl.String(),
        "question": pl.String(),
        "accepted": pl.List(pl.String()),
        "first_output": pl.String(),
        "second_output": pl.String(),
    }
)


def run_compare(
    settings: CompareSettings,
    models: Sequence[str],
    facts: FactSet | None = None,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
) -> CompareResult:
    """Ask all `models` (names, folders or step directories; the base first) the same questions and compare the answers.

    Stores flips.parquet, answers.parquet and, in `steps/`, the evaluation of each model. Raises InputError for fewer
    than two models, ModelError for a broken one, and what an evaluation raises.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect import CompareSettings, run_compare
        >>> settings = CompareSettings.make(parts="test", limit=20, few_shot=2)
        >>> found = run_compare(settings, ["pocket", str(tuned)]).found
        >>> [one.kind for one in found.contenders], found.main.flips.n
        (['first', 'few-shot', 'other'], 20)
    """
    _check_count(models)
    facts = load_facts(settings.facts) if facts is None else facts
    levels = None if settings.levels is None else read_levels(settings.levels)
    asked = _to_ask(settings, list(models), facts)
    inputs: dict[str, object] = {
        "models": [_identity(settings, model) for model in models],
        "facts": facts.fingerprint(),
        "levels": None if levels is None else levels_fingerprint(levels),
        "matcher": MATCHER_VERSION,
        **settings.judges().inputs(),
    }
    with open_step("compare", settings, inputs, out, root) as step:
        if not step.done:
            found, notes = [], list[str]()
            for number, (name, kind, model, shots) in enumerate(asked):
                folder = step.folder / "steps" / f"{number}-{kind}"
                how = settings.asking(model, shots)
                try:
                    run_evaluate(how, facts, levels, out=folder, progress=_share(progress, number, len(asked)))
                except InputError as error:
                    if kind != "few-shot":
                        raise
                    notes.append(f"{models[0]} was not asked with examples in its prompt: {error}")
                    continue
                found.append(read_answers(folder, name, kind))
            _finish(step, settings.chance, found, notes)
        return CompareResult(step.path)


def check_compare(settings: CompareSettings, models: Sequence[str]) -> None:
    """Read facts, levels and the models' folders, which `run_compare` does first, without torch, which takes seconds.

    Raises what that raises for them.
    """
    _check_count(models)
    check_evaluate(settings.asking(models[0]))
    for model in models[1:]:
        check_named(settings.asking(model))


def _check_count(models: Sequence[str]) -> None:
    if len(models) < 2:
        raise InputError(f"a comparison needs two models or more, the base first, but got {list(models)}.")


def compare_evaluations(
    paths: Sequence[Path], chance: str = "auto", *, out: Path | None = None, root: Path = DEFAULT_ROOT
) -> CompareResult:
    """Compare finished evaluate steps, the base's first, with no model. `chance` as in `CompareSettings`.

    Raises InputError for fewer than two, for steps of another kind or about pages, for evaluations without a question
    in common, and for those judged in different ways.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect import EvaluateSettings, compare_evaluations, run_evaluate
        >>> asked = [EvaluateSettings.make(model=model, parts="test", limit=20) for model in ("pocket", str(tuned))]
        >>> compare_evaluations([run_evaluate(one).path for one in asked]).found.main.flips.n
        20
    """
    chance = CompareSettings.make(chance=chance).chance
    if len(paths) < 2:
        raise InputError(f"a comparison needs two evaluations or more, the base's first, but got {len(paths)}.")
    manifests = [step_input(path, "evaluate") for path in paths]
    kinds: list[Kind] = ["first"]
    for one in manifests[1:]:
        same = one.inputs["model"] == manifests[0].inputs["model"]
        kinds.append("few-shot" if same and one.settings.get("shots") else "other")
    names = short_names([str(path.resolve()) for path in paths])
    inputs = {"evaluations": [one.fingerprint for one in manifests], "names": names}
    with open_step("compare", {"chance": chance}, inputs, out, root) as step:
        if not step.done:
            given = zip(paths, names, kinds, strict=True)
            _finish(step, chance, [read_answers(path, name, kind) for path, name, kind in given], [])
        return CompareResult(step.path)


def _to_ask(settings: CompareSettings, models: list[str], facts: FactSet) -> list[tuple[str, Kind, str, int | None]]:
    """Name, kind, place and shots of each contender: the first, its few-shot prompt, the others."""
    names = short_names(models)
    kinds: list[Kind] = ["first", *["other"] * (len(models) - 1)]  # type: ignore[list-item]
    asked: list[tuple[str, Kind, str, int | None]] = [
        (name, kind, model, None) for name, kind, model in zip(names, kinds, models, strict=True)
    ]
    if settings.few_shot:
        asked.insert(1, (f"{names[0]}, {settings.few_shot} examples", "few-shot", models[0], settings.few_shot))
    return asked


def _identity(settings: CompareSettings, model: str) -> dict[str, str]:
    """What of a model decides the result, with its engine where that is not the usual one."""
    found = find_engine(settings.asking(model))
    prompt = chat_input(settled(settings.prompt, found.ref))
    return {**found.inputs, **prompt, **({} if found.engine == "transformers" else {"engine": found.engine})}


def _share(progress: Progress | None, number: int, of: int) -> Progress | None:
    """The progress of one of several equally long evaluations as that of all."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, of * total)


def _finish(step: Step, chance: str, found: Sequence[Answers], notes: Sequence[str]) -> None:
    """Compare, and write the tables and what was found."""
    answers, more = same_questions(found)
    first = answers[0].outputs
    objects, relations = first["object"].to_list(), first["relation"].to_list()
    guess = chance_of_a_guess(relations, objects) if chance == "auto" else [float(chance)] * first.height
    comparisons = _comparisons(answers, guess)
    step.write_table("flips.parquet", _flips_table(answers, comparisons))
    step.write_table(
        "answers.parquet",
        pl.concat([one.outputs.select(pl.lit(one.name).alias("model"), pl.exclude("unit")) for one in answers]),
    )
    step.finish(
        CompareFound(
            contenders=tuple(_contender(one, step.folder) for one in answers),
            comparisons=tuple(comparisons),
            judge=answers[0].found.judge,
            notes=(*notes, *more, *favourites(answers)),
            sources={f"model {number + 1}": one.model for number, one in enumerate(answers)},
        )
    )


def _contender(one: Answers, folder: Path) -> Contender:
    inside, parts = one.path.is_relative_to(folder), one.outputs["part"].unique(maintain_order=True)
    return Contender(
        name=one.name,
        kind=one.kind,
        model=one.model,
        evaluation=str(one.path.relative_to(folder) if inside else one.path.resolve()),
        right=int(one.outputs["right"].sum()),
        accuracy=_accuracy(one.outputs),
        by_part={part: _accuracy(one.outputs.filter(part=part)) for part in parts},
    )


def _accuracy(outputs: pl.DataFrame) -> Estimate:
    right = outputs["right"].to_list()
    return by_cluster(proportion(sum(right), len(right)), right, outputs["unit"].to_list())


def _verdicts(one: Answers, part: Part | None = None) -> list[bool]:
    table = one.outputs if part is None else one.outputs.filter(part=part)
    found: list[bool] = table["right"].to_list()
    return found


def _comparisons(answers: Sequence[Answers], guess: Sequence[float]) -> list[Comparison]:
    """Every other model against the first, and the trained ones against the few-shot prompt."""
    first, others = answers[0], answers[1:]
    trained = [one for one in others if one.kind == "other"]
    few = [one for one in others if one.kind == "few-shot"]
    found = [_compare(first, one, guess) for one in others]
    corrected = dict(
        zip(
            (one.name for one in trained),
            holm([comparison.flips.p for comparison in found if comparison.second in {one.name for one in trained}]),
            strict=True,
        )
    )
    found = [one.model_copy(update={"p_holm": corrected.get(one.second, one.p_holm)}) for one in found]
    for prompt in few:
        against = [_compare(prompt, one, guess) for one in trained]
        values = holm([one.flips.p for one in against])
        found += [one.model_copy(update={"p_holm": p}) for one, p in zip(against, values, strict=True)]
    return found


def _compare(first: Answers, second: Answers, guess: Sequence[float]) -> Comparison:
    table = pl.DataFrame({"part": first.outputs["part"], "guess": list(guess), "unit": first.outputs["unit"]})

    def flips(part: Part | None = None) -> Flips:
        asked = table if part is None else table.filter(part=part)
        guesses, units = asked["guess"].to_list(), asked["unit"].to_list()
        return count_flips(_verdicts(first, part), _verdicts(second, part), guesses, units)

    parts = table["part"].unique(maintain_order=True).to_list()
    whole = flips()
    by_part = {part: flips(part) for part in parts}
    return Comparison(first=first.name, second=second.name, flips=whole, by_part=by_part, p_holm=whole.p)


def _flips_table(answers: Sequence[Answers], comparisons: Sequence[Comparison]) -> pl.DataFrame:
    """The questions that flipped, comparison by comparison, right → wrong first, in the order of the facts."""
    by_name = {one.name: one.outputs for one in answers}
    rows = []
    for comparison in comparisons:
        before, after = by_name[comparison.first], by_name[comparison.second]
        pairs = list(zip(before.iter_rows(named=True), after.iter_rows(named=True), strict=True))
        for flip, was in (("right_to_wrong", True), ("wrong_to_right", False)):
            for one, other in pairs:
                if one["right"] == was and other["right"] != was:
                    accepted = [one["object"], *one["synonyms"]]
                    question = (*(one[name] for name in ("part", "relation", "level", "fact_id", "question")), accepted)
                    rows.append((comparison.first, comparison.second, flip, *question, one["output"], other["output"]))
    return pl.DataFrame(rows, schema=_FLIPS, orient="row")
