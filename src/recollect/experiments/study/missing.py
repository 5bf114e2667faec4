"""What is missing in a study, finished or not, that the same command makes again.

Notable choices
- A step that is damaged is removed and made anew: it comes out the same, since settings and inputs are those of the
  study. What cannot be made again, such as the data, does not lie here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from recollect.core.workspace import MANIFEST, Manifest, discard, drop_leftovers, read_manifest
from recollect.core.workspace.manifest import PARTIAL, check_files
from recollect.errors import StepError

STEPS = "steps"
_NAMES = re.compile(
    r"probe|hidden|base|base-few-shot|curve|search|(select|train|evaluate|drift|ladder)-.+-\d+-seed-?\d+"
)


def lacks(path: Path, manifest: Manifest) -> bool:
    """Whether something failed in the finished study at `path`, or one of its steps or tables is gone or damaged."""
    if manifest.metrics.get("failed"):
        return True
    if manifest.files is None:  # of an earlier version, which does not say what was there
        return False
    try:
        check_files(path, manifest)
        for name in manifest.files:
            if name.endswith(f"/{MANIFEST}"):
                read_manifest((path / name).parent)
    except StepError:
        return True
    return False


def gone(path: Path, manifest: Manifest) -> list[str]:
    """The steps of the finished study at `path` whose folders are not there any more."""
    steps = [Path(name).parent for name in manifest.files or () if name.endswith(f"/{MANIFEST}")]
    return [step.name for step in steps if not (path / step / MANIFEST).is_file()]


def drop_damaged(steps: Path, say: Callable[[str], None]) -> None:
    """Remove the damaged steps of a study, and what a killed copy has left; the lock of the study is ours."""
    drop_leftovers(steps)
    for folder in sorted(steps.iterdir()):
        name = folder.name
        if name.endswith(PARTIAL) or not _NAMES.fullmatch(name) or folder.is_symlink() or not folder.is_dir():
            continue
        try:
            read_manifest(folder)
        except StepError as error:
            say(f"made again: {name}. {error}")
            discard(folder)
