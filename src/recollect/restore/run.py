"""Set the weights that changed most back to their base values, as a new model on disk.

*Token and Parameter Levels*, §5: rank every weight of the decoder layers by its relative change and set the top k %
back, without any training. Memory stays flat whatever the model's size; the two models are only read.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.core.workspace.result import Result
from recollect.drift.sides import open_both
from recollect.errors import InputError, StepError
from recollect.restore.settings import RestoreSettings
from recollect.train.card import is_own_card, restored_card, write_card
from recollect.train.step_card import card_of_step
from recollect.weights.pair import CheckpointPair
from recollect.weights.ranking import USUAL_PERCENT, check_request, rank
from recollect.weights.read import Checkpoint
from recollect.weights.write import bytes_needed, companions, write_model

Progress = Callable[[int, int], None]

_WHOLE = 1 << 26  # files up to this size are hashed whole to tell models apart, larger ones in samples
_EVERY, _SAMPLE = 1 << 20, 1 << 12
_MARGIN = 1 << 24


class RestoreFound(Result):
    """What a restoration did."""

    restored: int
    """Weights set to their base values."""
    of: int
    """Weights in the region."""
    changed: int
    """How many of the restored ones had really differed."""
    changed_of: int
    """How many weights of the region differ between base and tuned."""
    crc32: dict[str, int]
    """Checksum of every weights file, by name."""
    base: str
    tuned: str
    """The folders that were read."""
    alpha: float | None = None
    """Of an interpolation: how much of the change is kept, in every weight."""
    warnings: tuple[str, ...] = ()
    seconds: float
    peak_rss_mb: float
    """The process's largest memory, in MB of 10^6 bytes, from its start."""


@dataclass(frozen=True)
class RestoreResult:
    """A finished restoration. The model is in `model`; `path` is the step directory and is the model everywhere."""

    path: Path
    percent: float
    found: RestoreFound

    @property
    def model(self) -> Path:
        """The folder with the restored model."""
        return self.path / "model"

    def answer(self) -> dict[str, object]:
        """For `--json`."""
        names = ("restored", "of", "changed", "seconds", "peak_rss_mb")
        return {**{name: getattr(self.found, name) for name in names}, "percent": self.percent, "out": str(self.path)}


def run_restore(
    settings: RestoreSettings,
    base: str | Path,
    tuned: str | Path,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
) -> RestoreResult:
    """Write the tuned model with its top `percent` of `region`, ranked by `order` (see `rank`), set back to base.

    Shards, formats, metadata, configuration and tokenizer are the tuned model's (for a LoRA adapter: its base's, with
    the adapter merged). 0 % gives the tuned weights, 100 % of `all` the base's, bit for bit. A step directory: written
    beside `out`, verified, renamed when whole; found again when it is there.

    Raises ModelError for models that do not fit together or are broken (see `open_pair`), InputError for settings,
    StepError when `out` is taken, or the disk has no room; that is checked first.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect import RestoreSettings, run_restore
        >>> result = run_restore(RestoreSettings.make(percent=20), "pocket", tuned)
        >>> f"{result.found.restored / result.found.of:.0%} of the weights were set back"
        '20% of the weights were set back'
    """
    began = time.monotonic()
    percent = float(USUAL_PERCENT if settings.percent is None else settings.percent)
    with open_both(settings, str(base), str(tuned), asked=False) as pair:
        for folder in (pair.base_folder, pair.tuned_folder):
            if out is not None and out.resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"--out must lie outside the models, but {out} is in {folder}, which is never touched."
                )
        check_request(pair, settings.order, settings.region, [percent])  # before a place is taken under these settings
        names = ("order", "region", "per_tensor", "seed")
        values = {"percent": percent, **{name: getattr(settings, name) for name in names}}
        inputs = {"base": identity(pair.base_folder, pair), "tuned": identity(pair.tuned_folder, pair)}
        with open_step("restore", values, inputs, out, root) as step:
            if not step.done:
                step.finish(_restore(pair, step.folder, settings, percent, began, progress))
            return RestoreResult(step.path, percent, RestoreFound.read(step.path))


def _restore(
    pair: CheckpointPair,
    folder: Path,
    settings: RestoreSettings,
    percent: float,
    began: float,
    progress: Progress | None,
) -> RestoreFound:
    target = folder / "model"
    shutil.rmtree(target, ignore_errors=True)  # left by a run that was killed
    check_room(folder, bytes_needed(pair.shape))
    weights = sum(pair.sizes.values())
    reading = [0, 0]  # done, of

    def read(done: int, total: int) -> None:
        reading[:] = done, total
        if progress:
            progress(done, total + weights)

    def wrote(count: int) -> None:
        reading[0] += count
        if progress:
            progress(min(reading[0], reading[1] + weights), reading[1] + weights)

    ranking = rank(pair, settings.order, settings.region, [percent], settings.per_tensor, settings.seed, progress=read)
    cut = ranking.cut(percent)
    try:
        written = write_model(pair, cut, target, wrote)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise StepError(f"{target} could not be written: {error.strerror or error}. Nothing was kept of it.") from None
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    found = RestoreFound(
        restored=cut.restored,
        of=cut.of,
        changed=written.changed,
        changed_of=ranking.changed,
        crc32=written.checksums,
        base=str(pair.base_folder),
        tuned=str(pair.tuned_folder),
        warnings=pair.warnings,
        seconds=round(time.monotonic() - began, 3),
        peak_rss_mb=round(peak_rss_mb(), 1),
    )
    if content := card_of_step(pair.tuned_folder):
        write_card(target, restored_card(content, found.plain()))
    return found


def check_room(folder: Path, needed: int) -> None:
    """Raise StepError where a model of so many bytes has no room."""
    free = shutil.disk_usage(folder).free
    if free < needed + _MARGIN:
        raise StepError(
            f"no room in {folder.parent}: the restored model needs {needed / 1e9:.2f} GB, but {free / 1e9:.2f} GB are "
            "free. Nothing was written. Make room, or give --out a folder on another disk."
        )


def identity(folder: Path, pair: CheckpointPair) -> str:
    """Hash that tells one model from another in little time: small files whole, of large ones 4 KiB in each MiB."""
    digest = hashlib.blake2b(digest_size=16)
    weights: Checkpoint = pair.weights_of(folder)
    cards = {file for file in companions(weights) if is_own_card(file)}  # it decides nothing
    for file in [*(folder / name for name in weights.files), *companions(weights)]:
        if file in cards:
            continue
        size = file.stat().st_size
        digest.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as handle:
            if size <= _WHOLE:
                while data := handle.read(_EVERY):
                    digest.update(data)
                continue
            digest.update(handle.read(_EVERY))
            for place in range(_EVERY, size, _EVERY):
                handle.seek(place)
                digest.update(handle.read(_SAMPLE))
    return digest.hexdigest()


def peak_rss_mb() -> float:
    """The largest memory this process has had, in MB of 10^6 bytes."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
