"""Record of the chapter on flips: of every trained model, and of a few-shot prompt, against the untouched base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recollect.compare import Flips, chance_of_a_guess, count_flips
from recollect.compare.asked import Answers, read_answers, same_questions
from recollect.compare.favourite import Favourites, favourite
from recollect.core.numbers import many
from recollect.core.workspace import MANIFEST
from recollect.errors import InputError
from recollect.facts import Part
from recollect.report.page.chapter import Source
from recollect.report.page.record import Count, Level, Record
from recollect.report.scores.record import Choice, examples_of
from recollect.report.scores.steps import is_about_pages, study_cells

FEW_SHOT = "base-few-shot"
"""The step of a study with the base's answers to prompts with examples."""
_QUESTIONS = 6
"""Questions of each direction that the page lists."""


class FlipRow(Record):
    """One model against the untouched base, on one part of the questions."""

    part: Part
    levels: Choice | None
    """What it was trained on; null for the base with examples in its prompt."""
    size: Count
    """Training examples, or examples in the prompt."""
    seed: int | None
    flips: Flips


class FlippedQuestion(Record):
    """A question whose answer flipped, and in how many of the trained models."""

    part: Part
    level: Level | None
    question: str
    accepted: list[str]
    base_answer: str
    tuned_answer: str
    """Of the first model in which it flipped."""
    tuned_by: str
    flipped: Count
    """Trained models in which it flipped so."""


class FlipsFound(Record):
    """All flips of a study."""

    judge: str
    models: Count
    """Trained models."""
    rows: list[FlipRow]
    lost: list[FlippedQuestion] = []
    """Right before and wrong after, in the most models first."""
    gained: list[FlippedQuestion] = []
    notes: list[str] = []
    """Models that give one and the same answer to many questions, those with the most first."""


@dataclass(frozen=True)
class _Model:
    """A model's verdicts beside the base's, question by question."""

    levels: Choice | None
    size: int
    seed: int | None
    base: Answers
    answers: Answers

    @property
    def name(self) -> str:
        return examples_of(self.levels, self.size)


def collect(source: Source) -> FlipsFound | None:
    """Of a study whose base and trained models were asked the same questions about facts; None of anything else."""
    cells = study_cells(source)
    steps = source.path / "steps"
    if not cells or is_about_pages(source):
        return None
    base = read_answers(steps / "base", "base", "first")
    places = [(cell.levels, cell.size, cell.seed, cell.evaluation.path) for cell in cells]
    try:
        tuned = [_model(base, *place) for place in places]
        shots = _few_shot(base, steps / FEW_SHOT)
    except InputError:  # other questions, or another judge: nothing to put side by side
        return None
    everything = [*([shots] if shots else []), *tuned]
    return FlipsFound(
        judge=base.found.judge,
        models=len(tuned),
        rows=[row for model in everything for row in _rows(model)],
        lost=_questions(tuned, was=True),
        gained=_questions(tuned, was=False),
        notes=_favourites(tuned),
    )


def _few_shot(base: Answers, folder: Path) -> _Model | None:
    """The base asked with examples in its prompt, where the study has that."""
    if not (folder / MANIFEST).is_file():
        return None
    found = read_answers(folder, "few-shot", "few-shot")
    return _model(base, None, int(found.manifest.settings["shots"]), None, folder)


def _model(base: Answers, levels: Choice | None, size: int, seed: int | None, folder: Path) -> _Model:
    before, after = same_questions([base, read_answers(folder, "model")])[0]
    return _Model(levels, size, seed, before, after)


def _rows(model: _Model) -> list[FlipRow]:
    before, after = model.base.outputs, model.answers.outputs
    guess = chance_of_a_guess(before["relation"].to_list(), before["object"].to_list())
    found = []
    for part in ("test", "ood"):
        at = [place for place, one in enumerate(before["part"]) if one == part]
        if at:
            first, second = before["right"].gather(at).to_list(), after["right"].gather(at).to_list()
            flips = count_flips(first, second, [guess[place] for place in at])
            found.append(FlipRow(part=part, levels=model.levels, size=model.size, seed=model.seed, flips=flips))
    return found


def _favourites(models: Sequence[_Model]) -> list[str]:
    """One answer to many questions outside of train: a note on each model that gives one, at most `_QUESTIONS`."""
    found: list[tuple[Favourites, str]] = []
    for model in models:
        asked = model.answers.outputs["part"] != "train"
        before, after = (replace(one, outputs=one.outputs.filter(asked)) for one in (model.base, model.answers))
        if one := favourite(before, after):
            seed = "" if model.seed is None else f", seed {model.seed}"
            found.append((one, f"{model.name}{seed}:"))
    found.sort(key=lambda pair: -pair[0].answers[0].given / pair[0].n)
    notes = [f"{name} {one.text('the model', 'the base')}." for one, name in found[:_QUESTIONS]]
    left = len(found) - len(notes)
    return [*notes, f"{many(left, 'more model')} with one answer to many questions."] if left else notes


def _questions(models: Sequence[_Model], was: bool) -> list[FlippedQuestion]:
    """The questions that flipped in the most models; of equally many the first."""
    counts: Counter[str] = Counter()
    first: dict[str, FlippedQuestion] = {}
    for model in models:
        pairs = zip(model.base.outputs.iter_rows(named=True), model.answers.outputs.iter_rows(named=True), strict=True)
        for one, other in pairs:
            if one["right"] == was and other["right"] != was and one["part"] != "train":
                counts[one["fact_id"]] += 1
                first.setdefault(
                    one["fact_id"],
                    FlippedQuestion(
                        part=one["part"],
                        level=one["level"],
                        question=one["question"],
                        accepted=[one["object"], *one["synonyms"]],
                        base_answer=one["output"],
                        tuned_answer=other["output"],
                        tuned_by=model.name,
                        flipped=0,
                    ),
                )
    most = sorted(counts, key=lambda fact_id: -counts[fact_id])[:_QUESTIONS]
    return [first[fact_id].model_copy(update={"flipped": counts[fact_id]}) for fact_id in most]
