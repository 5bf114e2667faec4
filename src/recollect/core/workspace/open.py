"""Opening a step directory: made or found, locked, resumed, or refused.

Planted files. Whoever may write where a step is made could put links there before we come. The unfinished folder
itself, the lock, `parts/` and everything else in the folder are refused when they are links, pipes or devices, the lock
is opened without following links, and files are written under random new names. What this does not cover is somebody
who exchanges folders while we work, or who makes the whole step for us: do not work in a folder that strangers may
write to.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from recollect.core.redact import hide_secrets_in
from recollect.core.workspace import step as _step
from recollect.core.workspace.checksums import LOCK, MANIFEST, PARTIAL, STATE, check_files
from recollect.core.workspace.files import fingerprint, is_temporary, sync_folder
from recollect.core.workspace.lock import locked, planted
from recollect.core.workspace.manifest import read_state
from recollect.core.workspace.step import Step
from recollect.errors import RecollectError, StepError

DEFAULT_ROOT = Path("recollect-runs")


@contextmanager
def open_step(
    name: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
) -> Iterator[Step]:
    """Open a step directory for work, resume it where it was left, or find it done (`step.done`).

    Without `out` the directory is `root/name-fingerprint`. Raises StepError when the place is taken by a step with
    other settings or inputs, by something that is not a step, by a planted link, or by a process at work, when a
    finished step is damaged, and when the directory cannot be made. Nothing is changed then.
    """
    settings, inputs = dict(settings), dict(inputs)
    print_ = fingerprint({"format": _step.FORMAT, "step": name, "settings": settings, "inputs": inputs})
    path = _final_path(out if out is not None else root / f"{name}-{print_[:12]}")
    step = Step(name, path, print_, settings, inputs)
    if not _make_folder(step):
        _adopt(step)
        yield step
        return
    with locked(step.folder / LOCK, lambda: _busy(step)):
        if path.exists():  # another process finished it before we had the lock
            with suppress(OSError):
                (step.folder / LOCK).unlink()
                step.folder.rmdir()
            _adopt(step)
        else:
            _take(step)
        try:
            yield step
        except RecollectError:  # refused before any work: leave the place free for the corrected command
            if not step.done and {file.name for file in step.folder.iterdir()} <= {LOCK, STATE}:
                shutil.rmtree(step.folder, ignore_errors=True)
            raise


def _take(step: Step) -> None:
    """Begin in a new folder, or resume what lies in it; the lock is ours."""
    _refuse_planted_in(step.folder)
    if (step.folder / MANIFEST).is_file():  # killed between the manifest and the rename
        step.plan = _check_same(step.folder, step.folder / MANIFEST, step)["plan"]
        step.rename()
    elif (step.folder / STATE).is_file():
        state = _check_same(step.folder, step.folder / STATE, step)
        step.resumed, step.plan, step.started = True, state["plan"], state["started"]
        _drop_temporary(step.folder)
    else:
        if any(file.name != LOCK and not is_temporary(file.name) for file in step.folder.iterdir()):
            raise StepError(f"{step.folder} exists and is not an unfinished step. Move it away or change --out.")
        _drop_temporary(step.folder)
        step.write_state()


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
    for entry in os.scandir(folder):
        path = folder / entry.name
        try:
            kind = entry.stat(follow_symlinks=False).st_mode
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
    found = _check_same(step.path, step.path / MANIFEST, step)
    check_files(step.path, found)
    step.plan = found["plan"]
    with suppress(OSError):  # left by a process killed between the rename and the end
        (step.path / LOCK).unlink()
    step.done = True


def _check_same(folder: Path, file: Path, step: Step) -> dict[str, Any]:
    if not file.is_file():
        raise StepError(f"{folder} exists and is not a step directory. Give --out another name, or move it away.")
    found = read_state(file)
    if found["fingerprint"] == step.fingerprint:
        return found
    if found["step"] != step.name:
        what = f"it is a {found['step']!r} step, not a {step.name!r} step"
    else:
        what = "; ".join(
            _differences(found["settings"], hide_secrets_in(step.settings), "setting ")
            + _differences(found["inputs"], step.inputs, "input ")
        )
    raise StepError(
        f"{folder} holds a step made from other settings or inputs ({what or 'another format version'}). "
        f"Nothing was changed. Give --out another name, or delete {folder} to start over."
    )


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
