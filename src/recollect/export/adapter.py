"""adapter: the LoRA adapter alone, for PEFT, vLLM and the hub, with a base that others find."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recollect.errors import InputError, ModelError
from recollect.export.exporter import Job, Prompt, Written
from recollect.export.greedy import greedy_texts
from recollect.export.merged import load_plain
from recollect.export.settings import ExportSettings
from recollect.models.files import first_line, read_json
from recollect.models.find import NOTED, model_fingerprint, weights_fingerprint
from recollect.models.origin import hub_place, licence_files
from recollect.models.ref import write_base_fingerprint
from recollect.models.silence import quiet
from recollect.train.model import GENERATION, TOKENIZER

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Adapter:
    """The adapter's files, and the base's tokenizer, chat template and generation settings beside them."""

    whole = False

    def bound(self, settings: ExportSettings) -> float:
        """Nearly all: PEFT adds what we merge, in another order of sums."""
        return 0.98

    def check(self, job: Job) -> None:
        """Only an adapter can be taken away as one."""
        if job.ref.base is None:
            raise InputError(
                f"{job.ref.folder} is a whole model, so there is no adapter to export. Take --to merged, or train with "
                "--method lora."
            )

    def write(self, job: Job, target: Path, work: Path) -> Written:
        """The folder itself."""
        return Written(target, write_adapter(job, target))

    def ask(self, job: Job, written: Written, prompts: Sequence[Prompt]) -> list[str]:
        """By plain PEFT on a base that plain transformers has loaded."""
        model, tokenizer = load_with_peft(job, written.path)
        return greedy_texts(model, tokenizer, prompts, job.settings.max_new_tokens)


def write_adapter(job: Job, target: Path) -> tuple[str, ...]:
    """Write the adapter's folder; returns notes on how it names its base."""
    folder, base = job.ref.folder, job.ref.whole
    target.mkdir(parents=True)
    shutil.copyfile(folder / _WEIGHTS, target / _WEIGHTS)
    config = read_json(folder / _CONFIG)
    hub_id, revision = (job.settings.base_id, "") if job.settings.base_id else hub_place(base)
    notes: tuple[str, ...] = ()
    if hub_id:
        config["base_model_name_or_path"], config["revision"] = hub_id, revision or None
    elif str(config.get("base_model_name_or_path", "")).startswith(("./", "../", "/")):
        config["base_model_name_or_path"] = str(base.resolve())
        notes = (
            f"the adapter names its base by a path of this machine ({base}). Others give PEFT the base themselves; "
            "--base-id ORG/MODEL writes its name on the hub",
        )
    (target / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for pattern in (*TOKENIZER, GENERATION):
        beside = sorted(folder.glob(pattern)) or sorted(base.glob(pattern))
        for file in beside:
            shutil.copyfile(file, target / file.name)
    for file in licence_files(base):
        shutil.copyfile(file, target / file.name)
    if (folder / NOTED).is_file():
        shutil.copyfile(folder / NOTED, target / NOTED)
    else:
        write_base_fingerprint(target, model_fingerprint(base), weights=weights_fingerprint(base))
    return notes


def load_with_peft(job: Job, folder: Path) -> tuple[Any, Any]:
    """The base as plain transformers loads it with the adapter in `folder` as PEFT puts it on, and the tokenizer."""
    from peft import PeftModel

    base, tokenizer = load_plain(job, job.ref.whole)
    try:
        with quiet():
            return PeftModel.from_pretrained(base, str(folder), local_files_only=True), tokenizer
    except Exception as error:  # whatever PEFT says of a folder that we wrote
        raise ModelError(f"{folder} was written, but PEFT does not load it: {first_line(error)}") from error
