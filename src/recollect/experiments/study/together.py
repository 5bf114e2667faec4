"""`recollect work`: one more worker on a study or a fit, on any machine that sees its folder.

Notable choices
- A worker needs the study's file or its folder alone: the first one leaves the settings there. Whatever starts
  processes, a Slurm array, ssh in a loop or two terminals, starts workers.
- It repairs nothing that is finished: of a hundred workers that start after the end, none tries again what failed.
- Relative paths in a study's settings are those of the first worker's folder; who comes by the study's folder works
  there too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from recollect.core.settings import Name, Settings, read_yaml
from recollect.core.workspace import DEFAULT_ROOT, MANIFEST, what_is_shared
from recollect.core.workspace.manifest import PARTIAL
from recollect.errors import InputError, StepError
from recollect.experiments.executors.processes import visible_gpus
from recollect.experiments.fit.elsewhere import FitWork, is_fit
from recollect.experiments.found import Stage, no_stage, unheard
from recollect.experiments.study.grid import GridResult, run_grid
from recollect.experiments.study.pieces import NothingToDo, Worker, about
from recollect.experiments.study.run import StudyResult, run_study
from recollect.experiments.study.settings import StudySettings

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")


def _time(text: str) -> str:
    seconds_of(text)
    return text


def seconds_of(text: str) -> float:
    """A length of time such as 90, 90s, 10m or 2h, in seconds."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be a time such as 90s, 10m or 2h")
    return float(found[1]) * _UNITS[found[2]]


class WorkSettings(Settings):
    """Work on a study, or on the search of a fit, together with other workers, on this machine or others that see its
    folder.

    Examples:
        >>> from recollect import WorkSettings
        >>> WorkSettings.make(study="study.yaml", match="smollm2*").idle
        '10m'
    """

    runtime_only: ClassVar[set[str]] = {"study", "match", "idle", "gpus"}

    study: Annotated[Name, Field(json_schema_extra={"argument": "FILE|DIR"})]
    """The study's file, with --out where its folder is to be; or that folder, where a worker is already; or the folder
    of a fit that was started with --executor workers."""
    match: str | None = None
    """Take on models of this name alone; * stands for anything: "*360M"."""
    idle: Annotated[str, AfterValidator(_time)] = "10m"
    """How long to wait for work before leaving, such as 90s, 10m or 2h."""
    gpus: Annotated[int, Field(ge=0)] | None = None
    """Use this many of the GPUs that are visible, the first ones; 0 for none. Default: all."""


@dataclass(frozen=True)
class _Shared:
    """The study to work on."""

    settings: StudySettings
    out: Path | None
    folder: Path
    """Where its relative paths begin."""


def run_work(
    settings: WorkSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    stage: Stage | None = None,
    say: Callable[[str], None] = unheard,
) -> StudyResult | GridResult | None:
    """Do what is free of a study until it is finished; None where this worker left before, since nothing was free. Of a
    fit the trials of its search, until that is over; always None.

    stage and say: as in `run_study`. Raises StepError for a folder at which one process works alone, or workers of
    another version or with other settings, and what the study raises.

    Examples:
        `few` is the folder of a `run_facts` with 40 facts.

        >>> from pathlib import Path
        >>> from recollect import WorkSettings, run_work
        >>> written = Path("study.yaml").write_text(
        ...     f"{{facts: {few}, sizes: [4], choices: [random], repeats: 1, measure_drift: false, repair: none, "
        ...     "few_shot: 0, probe: {templates: 1}, train: {preset: pocket, max_steps: 1}}")
        >>> result = run_work(WorkSettings.make(study="study.yaml"), Path("together"))
        >>> result.found.cells
        1
    """
    if (fit := _fit_at(settings, say)) is not None:
        with _gpus(settings.gpus):
            fit.run(Worker(say, settings.match).takes)
        return None
    shared = _found(settings.study, out)
    worker = Worker(say, settings.match, seconds_of(settings.idle), about=about(shared.settings))
    where = None if shared.out is None else shared.out.absolute()
    with chdir(shared.folder), _gpus(settings.gpus):
        one = shared.settings
        if not one.is_grid and not worker.takes(one.model):
            say(f"nothing to do: the study's model is {one.model}, and this worker takes on {settings.match} alone.")
            return None
        try:
            if one.is_grid:
                return run_grid(one, where, root.absolute(), stage or no_stage, say, worker)
            return run_study(one, where, root.absolute(), stage or no_stage, say=say, worker=worker)
        except NothingToDo as left:
            say(f"left: {left}")
            return None


def _fit_at(settings: WorkSettings, say: Callable[[str], None]) -> FitWork | None:
    """The work on a fit, where its folder is named."""
    place = Path(settings.study)
    place = place.with_name(place.name.removesuffix(PARTIAL)).absolute()
    return FitWork(place, seconds_of(settings.idle), say) if is_fit(place) else None


def _found(study: str, out: Path | None) -> _Shared:
    """The settings behind a study's file or folder."""
    place = Path(study)
    if place.is_file():
        return _Shared(_settings(read_yaml(place)), out, Path.cwd())
    if place.name.endswith(PARTIAL):
        place = place.with_name(place.name.removesuffix(PARTIAL))
    if out is not None and out.absolute() != place.absolute():
        raise InputError(f"--out goes with a study's file; {study} is the folder of a study already.")
    known = what_is_shared(place)
    if known is None:
        raise _not_shared(place)
    folder = Path(str(known.get("folder", "")))
    return _Shared(_settings(known.get("settings")), place, folder if folder.is_dir() else Path.cwd())


def _settings(values: Any) -> StudySettings:
    """A study's, to be run by workers, whatever executor it names."""
    return StudySettings.resolve(file={**(values or {}), "executor": "workers"})[0]


def _not_shared(place: Path) -> InputError | StepError:
    if (place / MANIFEST).is_file():
        return StepError(f"{place} is finished: there is nothing to do. `recollect study` with its file repairs it.")
    if place.with_name(place.name + PARTIAL).exists():
        return StepError(
            f"{place} is a study of one process alone, or was: no worker has shared it. Wait for it, or stop it and "
            f"give the study's file: recollect work FILE --out {place}."
        )
    return InputError(f"no such study or fit: {place}. Give a study's file: recollect work FILE --out {place}.")


@contextmanager
def _gpus(count: int | None) -> Iterator[None]:
    """See no more than so many GPUs; before torch looks for them."""
    if count is None:
        yield
        return
    before, name = os.environ.get("CUDA_VISIBLE_DEVICES"), "CUDA_VISIBLE_DEVICES"
    there = visible_gpus() if count else []
    if count > len(there):
        raise InputError(f"gpus must be at most {len(there)}, as many as are visible here, but got {count}.")
    os.environ[name] = ",".join(there[:count])
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
