"""merged: a whole Hugging Face folder that plain transformers loads, an adapter merged into its base."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recollect.errors import ModelError
from recollect.export.exporter import Job, Prompt, Written
from recollect.export.greedy import greedy_texts
from recollect.export.settings import ExportSettings
from recollect.models import load_weights
from recollect.models.files import first_line
from recollect.models.find import DECIDING
from recollect.models.formats import cast_as_stored, percent
from recollect.models.origin import licence_files
from recollect.models.silence import quiet

_ALONG = (*DECIDING, "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")


class Merged:
    """Merged in float32 and rounded once, to the format of the base; a whole model is copied as it is."""

    whole = True

    def bound(self, settings: ExportSettings) -> float:
        """Nearly all: rounding the merged weights can turn an answer that hung by a hair."""
        return 0.98

    def check(self, job: Job) -> None:
        """Nothing is needed that is not here."""

    def write(self, job: Job, target: Path, work: Path) -> Written:
        """The folder itself."""
        return Written(target, *write_whole(job, target))

    def ask(self, job: Job, written: Written, prompts: Sequence[Prompt]) -> list[str]:
        """By plain transformers."""
        model, tokenizer = load_plain(job, written.path)
        return greedy_texts(model, tokenizer, prompts, job.settings.max_new_tokens)


def write_whole(job: Job, target: Path) -> tuple[tuple[str, ...], str]:
    """Write the model as a whole folder, weights in `save_dtype`; returns notes, and what happened to the weights."""
    folder, wanted = job.ref.folder, job.settings.save_dtype
    target.mkdir(parents=True)
    if job.ref.base is None and wanted == "base":
        for file in sorted({file for pattern in _ALONG for file in folder.glob(pattern) if file.is_file()}):
            shutil.copyfile(file, target / file.name)
        _copy_licences(folder, target)
        return (), ""
    base = job.ref.whole
    with quiet():
        model, tokenizer = load_weights(job.ref, replace(job.machine, device="cpu", dtype="float32"))
        cast = cast_as_stored(model, base, wanted)
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    for name in _ALONG[len(DECIDING) :]:
        if (base / name).is_file():
            shutil.copyfile(base / name, target / name)
    _copy_licences(base, target)
    stored = "the base's number format" if wanted == "base" else wanted
    did = "Merged into its base in float32 and stored in" if job.ref.base else "Stored in"
    notes = []
    if job.ref.base and cast and cast.stored < 0.9 * cast.trained:
        notes.append(
            f"the adapter changes {percent(cast.trained)} of the weights, of which rounding to {stored} left "
            f"{percent(cast.stored)}; --save-dtype float32 keeps all"
        )
    return tuple(notes), f"{did} {stored}."


def load_plain(job: Job, folder: Path) -> tuple[Any, Any]:
    """The model and the tokenizer of a folder as transformers alone loads them, in the format of the check."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trust = job.ref.runs_code
    try:
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=job.machine.torch_dtype, local_files_only=True, trust_remote_code=trust
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust)
    except Exception as error:  # whatever transformers says of a folder that we wrote
        raise ModelError(f"{folder} was written, but transformers does not load it: {first_line(error)}") from error
    return model.to(job.machine.device), tokenizer


def _copy_licences(folder: Path, target: Path) -> None:
    for file in licence_files(folder):
        shutil.copyfile(file, target / file.name)
