"""Set the weights that changed most back to their base values, as a new model on disk.

Paper C, §5: rank every weight of the decoder layers by its relative change and set the top k % back, without
any training. Memory stays flat whatever the model's size; the two models are only read.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recollect.core.workspace import DEFAULT_ROOT, Step, open_step
from recollect.errors import InputError, StepError
from recollect.weights.pair import CheckpointPair, open_pair
from recollect.weights.ranking import check_request, rank
from recollect.weights.safetensors import Checkpoint
from recollect.weights.write import bytes_needed, companions, write_model

_WHOLE = 1 << 26  # files up to this size are hashed whole to tell models apart, larger ones in samples
_EVERY, _SAMPLE = 1 << 20, 1 << 12
_MARGIN = 1 << 24


@dataclass(frozen=True)
class RestoreResult:
    """A finished restoration. The model is in `model`; `path` is the step directory and stands for it everywhere."""

    path: Path
    restored: int
    """Weights set to their base values."""
    of: int
    """Weights in the region."""
    changed: int
    """How many of the restored ones had really differed."""
    percent: float
    seconds: float
    peak_rss_mb: float
    """The process's largest memory, in MB of 10^6 bytes, from its start."""
    warnings: tuple[str, ...]

    @property
    def model(self) -> Path:
        """The folder with the restored model."""
        return self.path / "model"

    def json(self) -> dict[str, Any]:
        """For `--json`."""
        names = ("restored", "of", "changed", "percent", "seconds", "peak_rss_mb")
        return {name: getattr(self, name) for name in names} | {"out": str(self.path)}


def restore(
    base: str | Path,
    tuned: str | Path,
    percent: float = 20.0,
    order: str = "relative",
    region: str = "decoder",
    per_tensor: bool = False,
    seed: int = 0,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
    *,
    revision: str | None = None,
    tuned_revision: str | None = None,
    trust_remote_code: bool = False,
) -> RestoreResult:
    """Write the tuned model with its top `percent` of `region`, ranked by `order` (see `rank`), set back to base.

    Shards, formats, metadata, configuration and tokenizer are the tuned model's (for a LoRA adapter: its base's, with
    the adapter merged). 0 % gives the tuned weights, 100 % of `all` the base's, bit for bit. A step directory: written
    beside `out`, verified, renamed when whole; found again when it is there.

    Raises ModelError for models that do not fit together or are broken (see `open_pair`), InputError for settings,
    StepError when `out` is taken, or the disk has no room; that is checked first.
    """
    began = time.monotonic()
    settings = {"percent": float(percent), "order": order, "region": region, "per_tensor": per_tensor, "seed": seed}
    pins = {"revision": revision, "tuned_revision": tuned_revision}
    with open_pair(base, tuned, **pins, trust_remote_code=trust_remote_code) as pair:
        for folder in (pair.base_folder, pair.tuned_folder):
            if out is not None and out.resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"--out must lie outside the models, but {out} is in {folder}, which is never touched."
                )
        check_request(pair, order, region, [percent])  # before a place is taken under these settings
        inputs = {"base": _identity(pair.base_folder, pair), "tuned": _identity(pair.tuned_folder, pair)}
        with open_step("restore", settings, inputs, out, root) as step:
            if not step.done:
                _make(pair, step, settings, began, progress)
            return _result(step)


def _make(
    pair: CheckpointPair,
    step: Step,
    settings: dict[str, Any],
    began: float,
    progress: Callable[[int, int], None] | None,
) -> None:
    target = step.folder / "model"
    shutil.rmtree(target, ignore_errors=True)  # left by a run that was killed
    _check_room(step.folder, bytes_needed(pair.shape))
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

    percent = settings["percent"]
    arguments = (settings["order"], settings["region"], [percent], settings["per_tensor"], settings["seed"])
    ranking = rank(pair, *arguments, progress=read)
    cut = ranking.cut(percent)
    try:
        written = write_model(pair, cut, target, wrote)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise StepError(f"{target} could not be written: {error.strerror or error}. Nothing was kept of it.") from None
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    step.finish(
        {
            "restored": cut.restored,
            "of": cut.of,
            "changed": written.changed,
            "changed_of": ranking.changed,
            "crc32": written.checksums,
            "base": str(pair.base_folder),
            "tuned": str(pair.tuned_folder),
            "warnings": list(pair.warnings),
            "seconds": round(time.monotonic() - began, 3),
            "peak_rss_mb": round(peak_rss_mb(), 1),
        }
    )


def _result(step: Step) -> RestoreResult:
    found = step.metrics
    return RestoreResult(
        path=step.path,
        restored=found["restored"],
        of=found["of"],
        changed=found["changed"],
        percent=step.settings["percent"],
        seconds=found["seconds"],
        peak_rss_mb=found["peak_rss_mb"],
        warnings=tuple(found["warnings"]),
    )


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _MARGIN:
        raise StepError(
            f"no room in {folder.parent}: the restored model needs {needed / 1e9:.2f} GB, but {free / 1e9:.2f} GB are "
            "free. Nothing was written. Make room, or give --out a folder on another disk."
        )


def _identity(folder: Path, pair: CheckpointPair) -> str:
    """Hash that tells one model from another in little time: small files whole, of large ones 4 KiB in each MiB."""
    digest = hashlib.blake2b(digest_size=16)
    weights: Checkpoint = pair.weights_of(folder)
    for file in [*(folder / name for name in weights.files), *companions(weights)]:
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
    """The largest memory this process has held, in MB of 10^6 bytes."""
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
