"""Opening a step directory: made or found, locked, resumed, or refused.

Planted files. Whoever may write where a step is made could put links there before we come. The unfinished folder
itself, the lock, `parts/` and everything else in the folder are refused when they are links, pipes or devices, the lock
is opened without following links, and files are written under random new names. What this does not cover is somebody
who exchanges folders while we work, or who makes the whole step for us: do not work in a folder that strangers may
write to.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recollect.core.json_object import JsonObject
from recollect.core.redact import hide_secrets_in
from recollect.core.said import SAID, heard_in
from recollect.core.settings import Settings
from recollect.core.workspace import step as _step
from recollect.core.workspace.borrow import ask_lender
from recollect.core.workspace.files import fingerprint, is_temporary, sync_folder
from recollect.core.workspace.lease import Leases
from recollect.core.workspace.lock import guarded, locked, planted
from recollect.core.workspace.manifest import (
    LOCK,
    MANIFEST,
    PARTIAL,
    STATE,
    Kind,
    Manifest,
    State,
    check_files,
    read_manifest,
    read_state,
)
from recollect.core.workspace.shared import join, leases_of, others_at_work, refuse_workers
from recollect.core.workspace.step import ENTER_SECONDS, Step
from recollect.errors import RecollectError, StepBusy, StepError

DEFAULT_ROOT = Path("recollect-runs")
Lacks = Callable[[Path, Manifest], bool]
"""Given a finished step and its manifest: whether something in it is missing that can be made again."""


@contextmanager
def open_step(
    name: str,
    settings: Settings | Mapping[str, Any],
    inputs: Mapping[str, Any],
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    lacks: Lacks | None = None,
    shared: JsonObject | None = None,
) -> Iterator[Step]:
    """Open a step directory for work, resume it where it was left, or find it done (`step.done`).

    lacks: where that says so of the finished step, it is opened for work again, without the files of its own.
    shared: with other workers, which open it likewise; `step.leases` then says who does what. The first leaves this
    object for those that come later, see `what_is_shared`.

    Without `out` the directory is `root/name-fingerprint`. Given as `Settings`, a setting that the version which made a
    folder did not know may be at its default: the folder is the same step's, and is found under its old name too.
    Raises StepError when the place is taken by a step with other settings or inputs, by something that is not a step,
    by a planted link, or by a process at work, when a finished step is damaged, and when the directory cannot be made.
    Nothing is changed then.
    """
    asked = settings if isinstance(settings, Settings) else None
    values = settings.fingerprint_values() if isinstance(settings, Settings) else dict(settings)
    print_ = _print_of(name, values, inputs)
    path = _final_path(out if out is not None else root / f"{name}-{print_[:12]}")
    step = Step(name, path, print_, values, dict(inputs), asked)
    if out is None:
        step.path = _earlier(step)
    ask_lender(step)
    reopened = False
    if not _make_folder(step):
        reopened = lacks is not None and lacks(step.path, _check_same(step.path, step.path / MANIFEST, step, Manifest))
        if not reopened:
            _adopt(step)
            yield step
            return
    entry = _Entry(step, lacks, reopened)
    with entry.alone() if shared is None else entry.together(shared):
        try:
            with nullcontext() if step.done else heard_in(step.folder):
                yield step
        except StepBusy:  # of another, who may be at work in this very folder
            raise
        except RecollectError:  # refused before any work: leave the place free for the corrected command
            if not (step.done or step.leases) and {file.name for file in step.folder.iterdir()} <= {LOCK, STATE, SAID}:
                shutil.rmtree(step.folder, ignore_errors=True)
            raise


@dataclass(frozen=True)
class _Entry:
    """How one process comes into a folder that is not finished, or is to be taken up again."""

    step: Step
    lacks: Lacks | None
    reopened: bool

    @property
    def lock(self) -> Path:
        return (self.step.path if self.reopened else self.step.folder) / LOCK

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The folder is this process's own until the end."""
        with locked(self.lock, lambda: _busy(self.step)):
            refuse_workers(self.step)
            self.begin()
            yield

    @contextmanager
    def together(self, about: JsonObject) -> Iterator[None]:
        """The folder is shared with other workers; what each of them does, it holds a lease of."""
        step = self.step
        with guarded("leases"), Leases(leases_of(step)) as leases:
            with locked(self.lock, lambda: _busy(step), ENTER_SECONDS):
                others = others_at_work(step, leases)
                self.begin(tidy=not others)
                if not step.done:
                    join(step, leases, about, first=not others)
            yield

    def begin(self, tidy: bool = True) -> None:
        """The lock is ours: reopen, adopt what another process finished meanwhile, begin or resume."""
        step = self.step
        if self.reopened:
            _reopen(step)
        elif step.path.exists():
            with suppress(OSError):
                (step.folder / LOCK).unlink()
                step.folder.rmdir()
            _adopt(step)
        else:
            _take(step, self.lacks, tidy)


def _take(step: Step, lacks: Lacks | None, tidy: bool) -> None:
    """Begin in a new folder, or resume what lies in it; the lock is ours.

    tidy: remove what nobody has finished writing, since nobody else is at work.
    """
    _refuse_planted_in(step.folder)
    if (step.folder / MANIFEST).is_file():  # killed between the manifest and the rename, or when it was reopened
        found = _check_same(step.folder, step.folder / MANIFEST, step, Manifest)
        if lacks is not None and lacks(step.folder, found):
            step.resumed = True
            step.write_state()
            step.drop_own_files()
        else:
            step.rename()
    elif (step.folder / STATE).is_file():
        _check_same(step.folder, step.folder / STATE, step, State)
        step.resumed = True
        if tidy:
            _drop_temporary(step.folder)
    else:
        if any(file.name != LOCK and not is_temporary(file.name) for file in step.folder.iterdir()):
            raise StepError(f"{step.folder} exists and is not an unfinished step. Move it away or change --out.")
        _drop_temporary(step.folder)
        step.write_state()


def _reopen(step: Step) -> None:
    """Take up the finished step again; the lock in it is ours."""
    if not (step.path / MANIFEST).is_file():
        with suppress(OSError):  # another process was first, and our lock has made the folder again
            (step.path / LOCK).unlink()
            step.path.rmdir()
        raise StepBusy(_busy(step))
    if step.folder.exists():
        raise StepError(f"{step.folder} is in the way: something in {step.path} is to be made again. Move it away.")
    step.reopen()
    step.resumed = True


def same_step(folder: Path, step: Step) -> bool:
    """Whether the finished step in a folder, whose files are checked, is the one asked for in another place."""
    try:
        return (folder / MANIFEST).is_file() and not _differs(read_manifest(folder), step)
    except RecollectError:  # damaged, or of another version
        return False


def _final_path(out: Path) -> Path:
    """The absolute place of a step; links and `..` are followed now, since a rename at the end would not."""
    try:
        path = out.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a name with a NUL
        raise StepError(f"{out} cannot be a step directory: {error}. Give --out another name.") from None
    if path.name.endswith(PARTIAL):
        raise StepError(f"{path} ends in .partial, the mark of an unfinished step. Give --out another name.")
    return path


def _make_folder(step: Step) -> bool:
    """Make the unfinished folder; False when the final one is there already."""
    try:
        if step.path.exists():
            return False
        step.folder.mkdir(parents=True, exist_ok=True)
        if step.folder.is_symlink():
            raise StepError(planted(step.folder))
        sync_folder(step.path.parent)
    except (FileExistsError, NotADirectoryError):
        raise StepError(f"{step.path} cannot be made: a part of the path is a file. Give --out a folder.") from None
    except PermissionError:
        raise StepError(
            f"{step.path} cannot be made: no permission to write there. Give --out another folder."
        ) from None
    except OSError as error:
        raise StepError(f"{step.path} cannot be made: {error.strerror}. Give --out another folder.") from None
    return True


def _refuse_planted_in(folder: Path) -> None:
    """Raises StepError for anything in the folder that is neither a file nor a folder; steps inside see to themselves.

    Recollect makes no links, so one that lies there was put there, and would be written through.
    """
    for path in list(folder.iterdir()):
        try:
            kind = path.lstat().st_mode
        except FileNotFoundError:  # of a worker that outlived its search
            continue
        if stat.S_ISDIR(kind):
            if not any((path / name).exists() for name in (MANIFEST, STATE)):
                _refuse_planted_in(path)
        elif not stat.S_ISREG(kind):
            raise StepError(planted(path))


def _drop_temporary(folder: Path) -> None:
    """Remove what a killed process had half written, in the folder and its subfolders that are not steps themselves."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            if not any((path / name).exists() for name in (MANIFEST, STATE)):
                _drop_temporary(path)
        elif is_temporary(path.name):
            path.unlink(missing_ok=True)


def _adopt(step: Step) -> None:
    """Take the finished step at `step.path` for the one asked for, or refuse it."""
    check_files(step.path, _check_same(step.path, step.path / MANIFEST, step, Manifest))
    with suppress(OSError):  # left by a process killed between the rename and the end
        (step.path / LOCK).unlink()
    step.done = True


def _check_same(folder: Path, file: Path, step: Step, kind: type[Kind]) -> Kind:
    """What was stored of the step asked for, whose fingerprint, plan and start the step takes; or StepError."""
    if not file.is_file():
        raise StepError(f"{folder} exists and is not a step directory. Give --out another name, or move it away.")
    found = read_state(file, kind)
    if why := _differs(found, step):
        raise StepError(
            f"{folder} holds a step made from other settings or inputs ({why}). "
            f"Nothing was changed. Give --out another name, or delete {folder} to start over."
        )
    step.fingerprint, step.plan, step.started = found.fingerprint, found.plan, found.started
    return found


def _differs(found: State, step: Step) -> str:
    """In what a stored step is not the one asked for; "" where it is the same.

    It is when all is equal but settings that today's version has and the stored one has not, at their default, and
    those that decide no result any more. Every value was stored, defaults too, so a default that has changed since is
    another value. Equal values may be written in two ways, and have two fingerprints: a section once kept the 1 that
    was given for a number, which is 1.0 today.
    """
    if found.fingerprint == step.fingerprint:
        return ""
    if found.step != step.name:
        return f"it is a {found.step!r} step, not a {step.name!r} step"
    asked, settings = step.asked, dict(step.settings)
    if asked is not None:
        settings = {key: value for key, value in settings.items() if key in found.settings or not asked.at_default(key)}
        undeciding = found.settings.keys() & getattr(type(asked), "runtime_only", set())
        settings |= {key: found.settings[key] for key in undeciding}
    settings |= {key: value for key, value in found.settings.items() if key in settings and settings[key] == value}
    what = [
        *_differences(found.settings, hide_secrets_in(settings), "setting "),
        *_differences(found.inputs, step.inputs, "input "),
    ]
    if unknown := sorted(found.settings.keys() - type(asked).model_fields.keys()) if asked is not None else []:
        what.append(f"this version has no setting {' and no '.join(unknown)}")
    if not what and found.fingerprint != _print_of(step.name, settings, step.inputs):
        return "another format version"
    return "; ".join(what)


def _print_of(name: str, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    return fingerprint({"format": _step.FORMAT, "step": name, "settings": dict(settings), "inputs": dict(inputs)})


def _earlier(step: Step) -> Path:
    """The place of the step asked for; where nothing is there, of one that an earlier version named otherwise."""
    if step.path.exists() or step.folder.exists():
        return step.path
    for folder in sorted(step.path.parent.glob(f"{step.name}-{12 * '[0-9a-f]'}*")):
        file = folder / (STATE if folder.name.endswith(PARTIAL) else MANIFEST)
        with suppress(StepError):
            if file.is_file() and not _differs(read_state(file, State), step):
                return folder.with_name(folder.name.removesuffix(PARTIAL))
    return step.path


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], kind: str) -> list[str]:
    return [
        f"{kind}{key} was {old.get(key)!r}, now {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _busy(step: Step) -> str:
    if step.path.exists():
        return f"another process has just finished {step.path}. Run the command again."
    return f"another process is working in {step.folder}. Wait for it, or give --out another name."
