"""The page as one static file, which loads nothing and runs no code."""

from __future__ import annotations

import os
from pathlib import Path

from recollect.core.workspace import write_atomic
from recollect.errors import InputError
from recollect.watch.state import REPORT, Watcher
from recollect.watch.view import page


def write_once(experiment: Path, out: Path = Path("recollect-watch.html")) -> Path:
    """Write the page of the experiment in a folder, as it is now, to a file; returns that.

    Raises InputError where no step is in the folder, or the file cannot be written; StepError for a step of another
    version.

    Examples:
        `study` is the folder of a `run_study`.

        >>> from pathlib import Path
        >>> from recollect import write_once
        >>> write_once(study, Path("page.html")).name
        'page.html'
    """
    watcher = Watcher(experiment)
    folder = out.absolute().parent
    try:
        report = os.path.relpath(watcher.path / REPORT, folder)
    except ValueError:  # on another drive
        report = str(watcher.path / REPORT)
    text = page(watcher.look(), once=True, report=Path(report).as_posix())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(out.absolute(), lambda file: file.write(text.encode()))
    except (IsADirectoryError, FileExistsError, NotADirectoryError):
        raise InputError(f"{out} cannot be written: it is a folder, or a part of its path is a file.") from None
    return out
