"""The models of an experiment: what each was trained on, how far it is, what it scored; from its step folders alone.

Notable choices
- Steps of one model are known by their names, as `experiments.cell` gives them: `train-60-seed0` and
  `evaluate-60-seed0` in one folder, or `train` and `validation-1` in a folder of the model's own.
- An evaluation called "test" is a test of its own; what chooses, such as validation, has other names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from recollect.core.estimates import Estimate, spread_of, trained_score
from recollect.core.workspace import MANIFEST, Manifest
from recollect.core.workspace.manifest import read_state
from recollect.core.workspace.result import result_from
from recollect.errors import RecollectError
from recollect.evaluate.accuracy import Accuracy
from recollect.evaluate.found import EvaluateFound
from recollect.experiments.search.rung_file import stored_rungs
from recollect.experiments.search.trial import Outcome, TrialValues
from recollect.experiments.under_way import Told
from recollect.extraction.values import PageScores
from recollect.facts import Part
from recollect.watch.steps import Step

EVALUATE, SELECT, TRAIN = "evaluate", "select", "train"
_BASE, _TRIALS = "base", "trials"
_PROMPTS = (_BASE, "few-shot")
"""The untouched base, in one prompt or another."""
_ENDED_BADLY = ("degenerate", "failed", "memory")


@dataclass(frozen=True)
class Scores:
    """What one evaluation came to on the in-domain questions, or on what else was asked."""

    micro: Estimate | None = None
    macro: Estimate | None = None
    other_micro: Estimate | None = None
    other_macro: Estimate | None = None
    """The same out of domain."""

    def shown(self, macro: bool) -> Estimate | None:
        """The mean over memory levels or attributes, or over all."""
        return self.macro if macro else self.micro

    def other(self, macro: bool) -> Estimate | None:
        """The same out of domain."""
        return self.other_macro if macro else self.other_micro


@dataclass(frozen=True)
class Model:
    """One trained model, or the base in one prompt."""

    name: str
    of: str = ""
    """The study it belongs to, in a grid; the seed, in a search with several."""
    base: bool = False
    trial: bool = False
    choice: str = ""
    """What it was trained on: "random", a level."""
    size: int | None = None
    seed: int | None = None
    values: TrialValues = field(default_factory=dict)
    """The settings of a trial."""
    rungs: tuple[tuple[float, Outcome], ...] = ()
    """Of a trial: its outcomes by the share of the training."""
    at: Told | None = None
    """How far it is, where it is not finished."""
    scores: Scores | None = None
    tested: Scores | None = None
    """On a test of its own, where there is one beside what chooses."""
    asked: tuple[Step, ...] = ()
    """Its finished evaluations, the test first."""

    @property
    def trouble(self) -> str:
        """Why a trial ended badly."""
        last = self.rungs[-1][1] if self.rungs else None
        return last.reason if last and last.kind in _ENDED_BADLY else ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What its repeats have in common: study, choice, size."""
        return self.of, self.choice, self.size or 0


def read_models(steps: Sequence[Step], told: Mapping[tuple[str, str], Told]) -> list[Model]:
    """All models that have a step, the bases first, in the order of their names.

    told: what cells at work tell, by the place in which they tell it and their names.
    """
    own = {step.place for step in steps if step.kind in (SELECT, TRAIN) and step.own_name == step.kind}
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps[1:]:
        if step.kind in (EVALUATE, SELECT, TRAIN):
            groups.setdefault((step.place, _stem(step, own)), []).append(step)
    found = [_model(steps[0].folder, *key, group, told) for key, group in groups.items()]
    return sorted(found, key=_order)


def _order(one: Model) -> tuple[bool, str, int, str, int, str]:
    """Bases first; trials by their names; others by size, choice and seed."""
    size, choice = (0, "") if one.trial else (one.size or 0, one.choice)
    return not one.base, one.of, size, choice, one.seed or 0, one.name


def _stem(step: Step, own: set[str]) -> str:
    """Which of the models of its folder a step is about: "60-seed0", "base"; "" where the folder is one model's own."""
    name = step.own_name
    if step.place in own or name == step.kind:
        return ""
    if step.kind == EVALUATE:
        name = name.removesuffix("-validation").removesuffix("-test").removeprefix("test-").removeprefix("validate-")
    return name.removeprefix(f"{step.kind}-")


def _is_test(step: Step) -> bool:
    return step.own_name == "test" or step.own_name.startswith("test-") or step.own_name.endswith("-test")


def _of(place: str) -> str:
    """What a folder belongs to in the whole: "studies/pocket/steps" to "pocket", "seeds/1/trials/003" to "1"."""
    parts = place.split("/")
    return parts[1] if len(parts) > 2 and parts[0] in ("studies", "seeds") else ""


def _model(root: Path, place: str, stem: str, own: Sequence[Step], told: Mapping[tuple[str, str], Told]) -> Model:
    name = stem or place.rpartition("/")[2]
    at = next((told[above, name] for above in _above(place) if (above, name) in told), None)
    done = sorted((one for one in own if one.kind == EVALUATE and one.finished), key=lambda one: one.own_name)
    asked = next((one for one in reversed(done) if not _is_test(one)), None)
    tested = next((one for one in done if _is_test(one)), None)
    model = Model(
        name,
        _of(place),
        base=stem in _PROMPTS or stem.startswith(f"{_BASE}-"),
        at=None if at is None or at.ended else at,
        scores=scores_of(asked) if asked else None,
        tested=scores_of(tested) if tested else None,
        asked=tuple(one for one in (tested, asked) if one),
    )
    select = next((step for step in own if step.kind == SELECT and step.state), None)
    if select is not None and select.state is not None:
        values = select.state.settings
        size = select.finished.metrics.get("size") if select.finished else values.get("size")
        size = size if isinstance(size, int) else None
        model = replace(model, choice=str(values.get("level", "")), size=size, seed=values.get("seed"))
    if not stem and place.rpartition("/")[0].rpartition("/")[2] == _TRIALS:
        tried, rungs = stored_rungs(root / place)
        model = replace(model, trial=True, values=tried, rungs=tuple(rungs.items()))
    return model


def _above(place: str) -> list[str]:
    """The folder itself and all around it: "a/b", "a", ""."""
    parts = place.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def scores_of(step: Step) -> Scores | None:
    """The scores of an evaluation; None where it is not finished, or of a version whose result is not understood."""
    if step.finished is None:
        return None
    with suppress(OSError):
        return _scores(step.folder, (step.folder / MANIFEST).stat().st_mtime_ns)
    return None


@lru_cache(maxsize=20_000)
def _scores(folder: Path, time: int) -> Scores | None:
    try:
        found = result_from(EvaluateFound, read_state(folder / MANIFEST, Manifest).metrics, folder)
    except RecollectError:
        return None
    parts: Mapping[Part, Accuracy | PageScores] = found.pages.parts if found.pages else found.accuracy
    own, out = parts.get("test" if found.pages else found.part), parts.get("ood")
    inside = (own.micro, own.macro) if own else (None, None)
    return Scores(*inside, *((out.micro, out.macro) if out else (None, None)))


def best_of(models: Iterable[Model], macro: bool) -> Model | None:
    """The trained model with the best score."""
    scored = [(one.scores.shown(macro), one) for one in models if one.scores and not one.base]
    known = [(score.value, at, one) for at, (score, one) in enumerate(scored) if score]
    return max(known, key=lambda item: (item[0], -item[1]))[2] if known else None


def by_macro(models: Iterable[Model]) -> bool:
    """Whether all scores are known as means over levels or attributes, so that these are shown."""
    known = [one.scores for one in models if one.scores]
    return bool(known) and all(one.macro for one in known)


@dataclass(frozen=True)
class Point:
    """The mean score of the models of one choice and size."""

    of: str
    choice: str
    size: int
    score: Estimate
    models: int


def points(models: Sequence[Model], macro: bool) -> list[Point]:
    """The curve so far: one point for each choice and size, with the spread between trainings in its interval."""
    cells: dict[tuple[str, str, int], list[Estimate]] = {}
    for one in models:
        score = one.scores.shown(macro) if one.scores else None
        if score and not one.base and not one.trial and one.size is not None:
            cells.setdefault(one.key, []).append(score)
    spread = spread_of([[score.value for score in scores] for scores in cells.values()])
    return [Point(*key, trained_score(scores, spread), len(scores)) for key, scores in sorted(cells.items())]
