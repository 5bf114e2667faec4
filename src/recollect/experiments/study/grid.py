"""A grid: a study for each of several models, sets of data and ways to train, in one folder with one page.

    OUT/studies/smollm2-full/    a whole study, with its own report and steps
    OUT/report.html              the page of all

Notable choices
- A part is a study like any other; what it has in common with other parts, or with the studies around the grid, it
  takes from them (`reuse`): one probe for full and lora, and nothing again when a model comes to the list.
- A part that fails, its model not found or its probe broken, is stored with the reason, and the others go on. The same
  command tries again what failed, and makes again what is gone.
- A part is called by what the axes say of it, so another entry changes no other part's name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from recollect.core.json_object import JsonObject
from recollect.core.workspace import DEFAULT_ROOT, MANIFEST, Manifest, Step, discard, drop_leftovers, open_step
from recollect.core.workspace.experiment import STUDIES, Failed, GridFound, GridPart
from recollect.core.workspace.manifest import read_state
from recollect.engines import FoundModel, find_engine
from recollect.errors import InputError, StepError
from recollect.experiments.attempts import ends_all, reason_of
from recollect.experiments.executors import executor_class
from recollect.experiments.found import Stage, no_stage, unheard, write_page
from recollect.experiments.study import missing
from recollect.experiments.study.axes import DataEntry, Entry, MethodEntry, ModelEntry
from recollect.experiments.study.finished import Finished
from recollect.experiments.study.pieces import Worker, first_worker, wait_for_page
from recollect.experiments.study.run import Asked, StudyResult, fitted, shared_study, study_of
from recollect.experiments.study.settings import StudyParts, StudySettings
from recollect.experiments.study.shared import SharedStudy
from recollect.experiments.study.shared_parts import SharedParts
from recollect.experiments.study.slurm import work_on_slurm
from recollect.experiments.study.work import failure_notes
from recollect.facts import FactSet, load_facts
from recollect.shipped import SHIPPED

if TYPE_CHECKING:
    pass

_AXES = ("models", "data", "methods")


@dataclass(frozen=True)
class Part:
    """One study of a grid, before it is run."""

    name: str
    settings: StudySettings
    model_called: str = ""
    """What the file calls its model, where it gives a name."""
    data_called: str = ""

    def stored(self) -> GridPart:
        """As the grid stores it."""
        one = self.settings
        return GridPart(
            name=self.name,
            model=one.model,
            data=one.facts,
            method=StudyParts.of(one).train.method,
            model_called=self.model_called,
            data_called=self.data_called,
        )

    def trained(self) -> dict[str, str]:
        """What the study is of, for the grid's fingerprint: names to be called by change nothing."""
        return self.stored().model_dump(include={"model", "data", "method"})


class GridResult(Finished[GridFound]):
    """A finished grid: `path/studies` holds its parts, studies all."""

    @property
    def parts(self) -> dict[str, Path]:
        """The folders of the studies, by name."""
        return {part.name: self.path / part.folder for part in self.found.parts}


def run_grid(
    settings: StudySettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    stage: Stage | None = None,
    say: Callable[[str], None] = unheard,
    worker: Worker | None = None,
    warn: Callable[[str], None] | None = None,
) -> GridResult:
    """Run a study for each model, set of data and method, or resume, repair or find them done.

    stage and say: as in `run_study`. worker: do it with others, as this one; see `run_work`. warn: is told, before any
    work, which parts cannot be done; by default `say` is. What fails is in `failed` of the result. Raises InputError,
    before any work, for a bad setting and for two names of one model, and what ends everything (a full disk, a folder
    at work).

    Examples:
        `few` is the folder of a `run_facts` with 40 facts.

        >>> from recollect import StudySettings, run_grid
        >>> settings = StudySettings.make(
        ...     facts=str(few), methods=("full", "lora"), sizes=(4,), choices=("random",), repeats=1, few_shot=0,
        ...     measure_drift=False, repair=(), probe={"templates": 1}, train={"max_steps": 1})
        >>> grid = run_grid(settings)
        >>> sorted(grid.parts), grid.found.steps, grid.found.reused  # lora shares probe, base and selection
        (['full', 'lora'], 10, 3)
    """
    parts = grid_parts(settings)
    stage = stage or no_stage
    waited = settings.executor == "slurm" and work_on_slurm(settings, out, stage, say)
    if settings.executor != "slurm":
        executor_class(settings.executor, place := settings.place(Path())).check(place)
    inputs = {"studies": {part.name: part.trained() for part in parts}}
    with stage("looking at models and data", ""):
        ready = _look(parts)
    for text in cannot_be_done({k: one for k, one in ready.items() if isinstance(one, BaseException)}, len(parts)):
        (warn or say)(text)
    if worker is None and settings.executor == "workers":
        worker = first_worker(settings, say)
    repaired, shared = (lacks, None) if worker is None else (lacks if worker.repairs else None, worker.about)
    with open_step("grid", settings, inputs, out, root, repaired, shared) as step:
        before = step.done and not waited
        grid = _Grid(step, settings, parts, ready, stage, say)
        if worker is not None and not step.done:
            models = {part.name: part.settings.model for part in parts}
            with closing(SharedParts(step, models, worker, stage, grid.opened, grid.finish)) as together:
                worker.until_done(together.advance, together.pieces)
        else:
            results = grid.run()
        if not step.done and worker is None:
            grid.finish(results)
    if worker is not None and not step.done:
        wait_for_page(step.path)
    write_page(step.path, stage)
    found = GridFound.read(step.path)
    return GridResult(step.path, found, found.steps if before else found.reused, before)


# -- the parts -------------------------------------------------------------------------------------------------


def grid_parts(settings: StudySettings) -> list[Part]:
    """The studies of a grid, models first, with their names. A bad setting raises InputError."""
    axes = [_named(getattr(settings, axis)) for axis in _AXES]
    given = {name: getattr(settings, name) for name in settings.model_fields_set if name not in _AXES}
    found = list[Part]()
    for entries in product(*axes):
        name = "-".join(called for called, _ in entries if called)
        model, data, _ = [(entry and entry.name) or "" for _, entry in entries]
        study = _study(given, [entry for _, entry in entries], name, settings.title)
        if same := next((one for one in found if one.name.lower() == name.lower()), None):
            raise InputError(
                f"two parts would be called {name}: {_of(same.settings)}, and {_of(study)}. Give one of these a "
                "name of its own, such as {model: NAME, name: SHORT}."
            )
        part = Part(name, study, model, data)
        StudyParts.of(part.settings)
        found.append(part)
    return found


def _of(settings: StudySettings) -> str:
    return f"model {settings.model} with facts {settings.facts}"


Kind = TypeVar("Kind", bound=Entry)


def _named(entries: tuple[Kind, ...]) -> list[tuple[str, Kind | None]]:
    """The entries with a name of their own each, whatever comes after them; one without a name where the axis is empty.

    Names that differ in their case alone are one name to some file systems.
    """
    found: dict[str, tuple[str, Kind | None]] = {}
    for entry in entries:
        name = entry.short
        if name.lower() in found:
            said = repr(entry.model_dump(mode="json"))
            name = f"{name}-{blake2b(said.encode(), digest_size=3).hexdigest()}"
        found[name.lower()] = (name, entry)
    return list(found.values()) or [("", None)]


def _study(given: JsonObject, entries: list[Entry | None], name: str, title: str) -> StudySettings:
    values = {**given, "title": f"{title} ({name})"}
    sections = {section: [values.get(section)] for section in ("probe", "train", "evaluate")}
    for entry in entries:
        if isinstance(entry, ModelEntry):
            values["model"] = entry.model
            for section, layers in sections.items():
                layers.append(getattr(entry, section))
        elif isinstance(entry, DataEntry):
            values["facts"] = entry.facts
        elif isinstance(entry, MethodEntry):
            sections["train"].append({"method": entry.method})
            sections["train"].append(entry.train)
    for section, layers in sections.items():
        laid = {key: value for layer in layers for key, value in _given(layer).items()}
        if laid:
            values[section] = laid
    train = values.get("train", {})
    shipped = SHIPPED.get(values.get("model", StudySettings.model_fields["model"].default))
    if shipped and train.get("method") == "lora" and not {"preset", "learning_rate"} & train.keys():
        values["train"] = {**train, "learning_rate": shipped.lora_start}  # its preset is for full training
    return StudySettings.make(**values)


def _given(layer: Any) -> JsonObject:
    return dict(layer or {}) if isinstance(layer, dict | None) else layer.given()


# -- what they need --------------------------------------------------------------------------------------------

Found = TypeVar("Found")


def _look(parts: list[Part]) -> dict[str, Asked | BaseException]:
    """By part its facts and model; or what is wrong with them. Raises where nothing is left, and for two names of one.

    Each model is found once, and each set of facts read once.
    """
    models: dict[str, FoundModel | BaseException] = {}
    facts: dict[str, FactSet | BaseException] = {}
    ready: dict[str, Asked | BaseException] = {}
    for part in parts:
        one, sections = part.settings, StudyParts.of(part.settings)
        if one.model not in models:
            models[one.model] = _tried(partial(find_engine, sections.probe))
        if one.facts not in facts:
            facts[one.facts] = _tried(partial(load_facts, one.facts))
        model, known = models[one.model], facts[one.facts]
        if isinstance(model, BaseException) or isinstance(known, BaseException):
            ready[part.name] = model if isinstance(model, BaseException) else known  # type: ignore[assignment]
            continue
        fits = _tried(partial(fitted, one, known))
        sources = {"model": one.model, "facts": one.facts}
        ready[part.name] = fits if isinstance(fits, BaseException) else Asked(fits[0], known, model, sources, fits[1])
    _refuse_twins("models", "model", {k: one.fingerprint for k, one in models.items() if isinstance(one, FoundModel)})
    _refuse_twins("data", "facts", {k: one.fingerprint() for k, one in facts.items() if isinstance(one, FactSet)})
    errors = [one for one in ready.values() if isinstance(one, BaseException)]
    if len(errors) == len(ready):
        raise errors[0]
    return ready


def _tried(make: Callable[[], Found]) -> Found | BaseException:
    try:
        return make()
    except Exception as error:
        if ends_all(error):
            raise
        return error


def _refuse_twins(axis: str, what: str, prints: dict[str, str]) -> None:
    seen: dict[str, str] = {}
    for name, print_ in prints.items():
        if print_ in seen:
            raise InputError(f"{axis}: {seen[print_]} and {name} are one {what} by its content. Leave one of them out.")
        seen[print_] = name


def cannot_be_done(lost: Mapping[str, BaseException], parts: int) -> tuple[str, ...]:
    """For people, before any work: which of so many parts of a grid cannot be done, once for each reason."""
    named: dict[str, list[str]] = {}
    for name, error in lost.items():
        named.setdefault(reason_of(error), []).append(name)
    return tuple(
        f"CANNOT BE DONE: {', '.join(names)} ({len(names)} of {parts} parts): {reason} The other parts go on."
        for reason, names in named.items()
    )


def lacks(path: Path, manifest: Manifest) -> bool:
    """Whether something failed in the finished grid at `path`, or is gone or damaged in it or in its studies."""
    if missing.lacks(path, manifest):
        return True
    studies = [(path / name).parent for name in manifest.files or () if name.startswith(f"{STUDIES}/")]
    return any(missing.lacks(study, read_state(study / MANIFEST, Manifest)) for study in studies)


# -- at work ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grid:
    """A grid at work, or finished: then its studies are looked at, and are as they were."""

    step: Step
    settings: StudySettings
    parts: list[Part]
    ready: dict[str, Asked | BaseException]
    stage: Stage
    say: Callable[[str], None]
    failed: list[Failed] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def run(self) -> dict[str, StudyResult]:
        """The studies, by part; of one that failed there is a reason in `failed` instead."""
        studies = self.step.folder / STUDIES
        if not self.step.done:
            studies.mkdir(exist_ok=True)
            drop_leftovers(studies)
        found = {}
        for at, part in enumerate(self.parts, 1):
            if not self.step.done and isinstance(self.ready[part.name], Asked):
                self.say(f"part {at} of {len(self.parts)}: {part.name}")
            try:
                found[part.name] = self._part(part, studies / part.name)
            except BaseException as error:
                if self.step.done or ends_all(error):
                    raise
                self.failed.append(Failed(name=part.name, reason=reason_of(error)))
                if not isinstance(self.ready[part.name], BaseException):  # else it was told before any work
                    self.say(f"failed: {part.name}: {self.failed[-1].reason}")
        return found

    def _part(self, part: Part, out: Path) -> StudyResult:
        asked = self.ready[part.name]
        if isinstance(asked, BaseException):
            raise asked
        if not self.step.done and (out / MANIFEST).is_file():
            try:
                read_state(out / MANIFEST, Manifest)
            except StepError as error:
                self.say(f"made again: {part.name}. {error}")
                discard(out)
        return study_of(asked, out, out.parent, self.stage, self.say)

    def opened(self, worker: Worker, name: str) -> AbstractContextManager[SharedStudy]:
        """A part, open to several workers."""
        asked, out = self.ready[name], self.step.folder / STUDIES / name
        if isinstance(asked, BaseException):
            raise asked
        return shared_study(asked, out, out.parent, self.stage, self.say, worker)

    def finish(self, results: dict[str, StudyResult], failed: Sequence[Failed] = ()) -> None:
        """Store what was found."""
        self.failed.extend(failed)
        cells = [
            one.model_copy(update={"name": f"{name}/{one.name}"})
            for name, result in results.items()
            for one in result.failed
        ]
        found = [result.found for result in results.values()]
        self.step.finish(
            GridFound(
                title=self.settings.title,
                notes=tuple(failure_notes(self.failed)),
                given=tuple(sorted(self.settings.model_fields_set)),
                machine=next((one.machine for one in found), ""),
                seconds=round(time.monotonic() - self.started, 3),
                parts=tuple(part.stored() for part in self.parts if part.name in results),
                cells=sum(one.cells for one in found),
                steps=sum(one.steps for one in found),
                reused=sum(one.reused for one in results.values()),
                failed=(*self.failed, *cells),
            )
        )
