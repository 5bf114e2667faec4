"""A model between a base and what was trained of it, as a model on disk: every weight at base + alpha * change.

The plainest repair there is (WiSE-FT, arXiv 2109.01903): a share of all changes is kept, whatever they are. It is the
control beside a restoration, and often as good. With another training in the base's place it is the mean of the two
(model soups, arXiv 2203.05482).
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.drift.sides import open_both
from recollect.errors import InputError
from recollect.restore.run import RestoreFound, RestoreResult, check_room, identity, peak_rss_mb
from recollect.restore.settings import RestoreSettings
from recollect.train.card import restored_card, write_card
from recollect.train.step_card import card_of_step
from recollect.weights.pair import CheckpointPair
from recollect.weights.write import Between, bytes_needed, write_model


def run_between(
    settings: RestoreSettings,
    base: str | Path,
    tuned: str | Path,
    alpha: float,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
) -> RestoreResult:
    """Write the model at `base + alpha * (tuned - base)`; 0 has the base's weights, 1 the tuned ones.

    Of the settings those count that say how to open the two. A step directory like that of `run_restore`, and raises
    what that raises; InputError for an alpha outside 0 to 1.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect import RestoreSettings
        >>> from recollect.restore import run_between
        >>> run_between(RestoreSettings(), "pocket", tuned, 0.5).found.alpha
        0.5
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must be a share of the change, 0 to 1, but got {alpha!r}.")
    began = time.monotonic()
    with open_both(settings, str(base), str(tuned), asked=False) as pair:
        inputs = {"base": identity(pair.base_folder, pair), "tuned": identity(pair.tuned_folder, pair)}
        with open_step("restore", {"alpha": alpha}, inputs, out, root) as step:
            if not step.done:
                step.finish(_write(pair, step.folder, alpha, began))
            return RestoreResult(step.path, 0.0, RestoreFound.read(step.path))


def _write(pair: CheckpointPair, folder: Path, alpha: float, began: float) -> RestoreFound:
    target = folder / "model"
    shutil.rmtree(target, ignore_errors=True)  # left by a run that was killed
    check_room(folder, bytes_needed(pair.shape))
    written = write_model(pair, Between(alpha), target)
    found = RestoreFound(
        restored=0,
        of=sum(pair.sizes.values()),
        changed=0,
        changed_of=0,
        crc32=written.checksums,
        base=str(pair.base_folder),
        tuned=str(pair.tuned_folder),
        alpha=alpha,
        warnings=pair.warnings,
        seconds=round(time.monotonic() - began, 3),
        peak_rss_mb=round(peak_rss_mb(), 1),
    )
    if content := card_of_step(pair.tuned_folder):
        write_card(target, restored_card(content, found.plain()))
    return found
