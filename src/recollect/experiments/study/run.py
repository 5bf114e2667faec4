"""Run a study: probe, base scores, then a cell for every choice, size and seed.

Notable choices
- The study is a step directory like any other; each step within it is one too, so a killed study resumes at the batch
  (or training) it was at when the same command is given again. The phases of the work are in `work`.
- A finished one in which something failed, or is gone since, is taken up again for that alone.
- The report is written from the finished step, see `write_page`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.chat.asking import chat_input
from recollect.core.settings import source_of
from recollect.core.texts import read_texts
from recollect.core.workspace import DEFAULT_ROOT, Manifest, Step, fingerprint, open_step
from recollect.core.workspace.experiment import StudyFound
from recollect.engines import FoundModel, check_named, find_engine
from recollect.errors import InputError, RecollectWarning
from recollect.evaluate import asked_facts
from recollect.experiments.base import Base
from recollect.experiments.executors import executor_class
from recollect.experiments.found import Stage, no_stage, unheard, write_page
from recollect.experiments.probed import check_asked_are_probed
from recollect.experiments.study.finished import Finished
from recollect.experiments.study.missing import gone, lacks
from recollect.experiments.study.pages import are_pages, for_pages
from recollect.experiments.study.pieces import Worker, first_worker, wait_for_page
from recollect.experiments.study.settings import StudyParts, StudySettings
from recollect.experiments.study.shared import SharedStudy
from recollect.experiments.study.slurm import work_on_slurm
from recollect.experiments.study.work import Study
from recollect.facts import FactSet, load_facts, read_relations
from recollect.probe import choice_inputs, forms_input
from recollect.train.auto import auto_input

if TYPE_CHECKING:
    pass


class StudyResult(Finished[StudyFound]):
    """A finished study: beside its report, `path` holds the tables, and `path/steps` the steps."""


def run_study(
    settings: StudySettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    stage: Stage | None = None,
    facts: FactSet | None = None,
    say: Callable[[str], None] = unheard,
    worker: Worker | None = None,
) -> StudyResult:
    """Run the study, or resume it, repair it, or find it done; `facts` saves reading them again.

    stage: shows what the study is at. say: is told what is to come, in sentences. worker: do it with others, as this
    one; see `run_work`. A cell that fails is in `failed` of
    the result. Raises what is wrong before the cells, and InputError for several models, data or methods: see
    `run_grid`. Nothing finished is lost.

    Examples:
        `few` is the folder of a `run_facts` with 40 facts.

        >>> from recollect import StudySettings, run_study
        >>> settings = StudySettings.make(
        ...     facts=str(few), sizes=(4,), choices=("random",), repeats=1, measure_drift=False, repair=(),
        ...     probe={"templates": 1}, train={"preset": "pocket", "max_steps": 1})
        >>> run_study(settings).found.cells
        1
    """
    if settings.is_grid:
        raise InputError("a study has one model, one set of facts and one method; several are a grid: run_grid.")
    StudyParts.of(settings)
    waited = settings.executor == "slurm" and work_on_slurm(settings, out, stage or no_stage, say)
    if settings.executor != "slurm":
        executor_class(settings.executor, place := settings.place(Path())).check(place)
    given, facts = facts, facts if facts is not None else load_facts(settings.facts)
    sources = {"model": settings.model, "facts": source_of(settings, "facts", given)}
    settings, pages = fitted(settings, facts)
    model = find_engine(StudyParts.of(settings).probe)
    if worker is None and settings.executor == "workers":
        worker = first_worker(settings, say)
    result = study_of(Asked(settings, facts, model, sources, pages), out, root, stage or no_stage, say, worker)
    return replace(result, reused=result.found.reused, before=False) if waited else result


@dataclass(frozen=True)
class Asked:
    """A study with its facts read and its model found."""

    settings: StudySettings
    facts: FactSet
    model: FoundModel
    sources: dict[str, str]
    """What model and facts are called."""
    pages: bool = False
    """Whether the facts are product pages."""

    @cached_property
    def parts(self) -> StudyParts:
        """The settings of its steps."""
        parts = StudyParts.of(self.settings).in_prompt_of(self.model.ref)
        return parts.for_pages() if self.pages else parts


def fitted(settings: StudySettings, facts: FactSet) -> tuple[StudySettings, bool]:
    """The settings for these facts, and whether they are pages. Raises InputError where they cannot be studied so."""
    parts, counts = StudyParts.of(settings), facts.counts()
    if not counts["train"] or not counts["test"]:
        raise InputError(f"a study needs facts in train and test, but the fact set {facts.name!r} has {counts}.")
    if are_pages(settings, facts):
        return for_pages(settings), True
    without = "A training and its accuracy without levels: recollect train, then recollect evaluate."
    check_asked_are_probed(asked_facts(parts.evaluate, facts), facts, parts.probe, without)
    return settings, False


def check_study(settings: StudySettings) -> None:
    """Read the facts and the model's folder, which `run_study` does first, without torch, which takes seconds.

    Raises what that raises for them. Of a grid nothing is read: a part that cannot be done leaves the others alone.
    """
    if not settings.is_grid:
        fitted(settings, load_facts(settings.facts))
        check_named(StudyParts.of(settings).probe)


def study_of(
    asked: Asked, out: Path | None, root: Path, stage: Stage, say: Callable[[str], None], worker: Worker | None = None
) -> StudyResult:
    """As `run_study`, of what is read and found. worker: do it together with others."""
    settings, facts, parts = asked.settings, asked.facts, asked.parts
    reused = None
    if worker is not None:
        path, reused = _together(asked, out, root, stage, say, worker)
    else:
        with _opened(asked, out, root, say) as step:
            if not step.done:
                base = Base(parts.probe, ref=asked.model.ref)
                study = Study(step, settings, parts, facts, base, asked.sources, stage, say, pages=asked.pages)
                study.work()
                reused = study.counted.reused
        path = step.path
    write_page(path, stage)
    found = StudyFound.read(path)
    result = StudyResult(path, found, found.steps if reused is None else reused, before=reused is None)
    if "title" in settings.model_fields_set and (before := result.results.title) != settings.title:
        warnings.warn(f"{path} was finished as {before!r}, and keeps that title.", RecollectWarning, stacklevel=3)
    return result


def _together(
    asked: Asked, out: Path | None, root: Path, stage: Stage, say: Callable[[str], None], worker: Worker
) -> tuple[Path, int | None]:
    """Do a study with other workers; gives its folder, and how many of its steps were there before them all."""
    with shared_study(asked, out, root, stage, say, worker) as study:
        if study.step.done:
            return study.step.path, None
        worker.until_done(study.advance, lambda: study.leases.ended)
    if not study.step.done:  # another worker finished it, and draws its page
        wait_for_page(study.step.path)
    return study.step.path, StudyFound.read(study.step.path).reused


@contextmanager
def shared_study(
    asked: Asked, out: Path | None, root: Path, stage: Stage, say: Callable[[str], None], worker: Worker
) -> Iterator[SharedStudy]:
    """A study open to several workers, or found done (`step.done`)."""
    settings, facts, parts = asked.settings, asked.facts, asked.parts
    base = worker.base(parts.probe, asked.model.ref)
    with _opened(asked, out, root, say, worker) as step:
        pages, grid = asked.pages, worker.grid
        yield SharedStudy(step, settings, parts, facts, base, asked.sources, stage, say, pages=pages, grid=grid)


@contextmanager
def _opened(
    asked: Asked, out: Path | None, root: Path, say: Callable[[str], None], worker: Worker | None = None
) -> Iterator[Step]:
    """The study's folder; says what is gone of a finished one that is taken up again, which not every worker does."""
    lost = list[str]()

    def lacking(path: Path, manifest: Manifest) -> bool:
        lost.extend(gone(path, manifest))
        return lacks(path, manifest)

    repaired = lacking if worker is None or worker.repairs else None
    about = None if worker is None else worker.about
    with open_step("study", asked.settings, study_inputs(asked), out, root, repaired, about) as step:
        if lost and not step.done:
            say(f"missing: {', '.join(lost)}; taken from a study beside this one, or else made again")
        yield step


def study_inputs(asked: Asked) -> dict[str, str]:
    """What is in the fingerprint beside the settings."""
    parts, probe, facts = asked.parts, asked.parts.probe, asked.facts
    common = {
        **asked.model.inputs,
        **chat_input(parts.train.prompt),
        "facts": facts.fingerprint(),
        **auto_input(parts.train),
    }
    if asked.pages:  # nothing is probed or compared
        return common
    relations = read_relations(Path(probe.template_file) if probe.template_file else None)
    templates = fingerprint({name: list(relations[name].templates) for name in facts.relations if name in relations})
    return {
        **common,
        "templates": templates,
        **forms_input(probe),
        **choice_inputs(facts, probe),
        **_texts(parts),
    }


def _texts(parts: StudyParts) -> dict[str, str]:
    """Fingerprints of the general texts that the sections drift and ladder name, whatever their files are called."""
    named = {"drift_text": parts.drift.text, "ladder_text": parts.ladder.text}
    return {name: fingerprint(read_texts(text)) for name, text in named.items() if text}
