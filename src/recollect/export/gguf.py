"""gguf: one file for llama.cpp, made by llama.cpp's own converter and asked through llama-cpp-python.

The converter is a program of its own, `convert_hf_to_gguf.py`, that belongs to llama.cpp and is in no package of its
makers; so it is called where the user has it. It is asked for the file's format by name: what it would choose itself
changes from version to version.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from recollect.errors import InputError, MissingExtra, ModelError
from recollect.export.exporter import CannotAskError, Job, Prompt, Written
from recollect.export.external import run_tool
from recollect.export.greedy import ids_of
from recollect.export.merged import write_whole
from recollect.export.settings import ExportSettings
from recollect.generate.encoding import context_limit
from recollect.models.files import Stored
from recollect.models.whole import bare_model, load_tokenizer

CONVERTERS = ("convert_hf_to_gguf.py", "convert-hf-to-gguf")
_OUTTYPES = {"bfloat16": "bf16", "float16": "f16", "float32": "f32", "float64": "f32"}
_ROOM = 64
_HOW_TO_GET = (
    "gguf needs llama.cpp's convert_hf_to_gguf.py, which is not on PATH. It comes with llama.cpp's source, and in that "
    "of llama-cpp-python (vendor/llama.cpp): pip download --no-deps --no-binary :all: llama-cpp-python, unpack it, and "
    "give --converter PATH/convert_hf_to_gguf.py."
)


class Gguf:
    """The whole model in one file, with its tokenizer and chat template inside."""

    whole = True

    def bound(self, settings: ExportSettings) -> float:
        """llama.cpp rounds what it multiplies to the format of the weights, so 16 bits turn some answers and 8 more."""
        return 0.8 if settings.outtype == "q8_0" else 0.9

    def check(self, job: Job) -> None:
        """The converter must be there."""
        converter(job.settings.converter)

    def write(self, job: Job, target: Path, work: Path) -> Written:
        """The file, in a folder of its own."""
        path, outtype = write_gguf(job, target, work)
        return Written(path, changed=f"Converted to GGUF ({outtype}) by llama.cpp's converter.")

    def ask(self, job: Job, written: Written, prompts: Sequence[Prompt]) -> list[str]:
        """By llama-cpp-python, in a process of its own; a chat goes through the template inside the file."""
        return ask_gguf(job, written.path, prompts)


def converter(given: str) -> list[str]:
    """The command that converts: what was given, else what is on PATH. InputError and MissingExtra."""
    if given:
        path = Path(given).expanduser()
        found = path.resolve() if path.is_file() else shutil.which(given)
        if found is None:
            raise InputError(f"converter must be a script or a program, but there is no {given}. Check the path.")
        return _command(Path(found))
    for name in CONVERTERS:
        if place := shutil.which(name):
            return _command(Path(place))
    raise MissingExtra(_HOW_TO_GET)


def _command(path: Path) -> list[str]:
    return [sys.executable, str(path)] if path.suffix == ".py" else [str(path)]


def write_gguf(job: Job, target: Path, work: Path) -> tuple[Path, str]:
    """Convert the model to a file in `target`; returns it and its number format."""
    folder, wanted, merged = job.ref.folder, job.settings.save_dtype, job.ref.base is not None
    if merged or wanted != "base":
        folder = work / "whole"
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        exact = job.settings.model_copy(update={"save_dtype": "float32" if wanted == "base" else wanted})
        write_whole(replace(job, settings=exact), folder)  # rounded once, to the format of the file
    outtype = str(job.settings.outtype)
    if outtype == "auto":
        with Stored(job.ref.whole) as stored:
            outtype = _OUTTYPES.get(stored.main_format(), "f16")
        if merged and outtype == "bf16":
            outtype = "f16"  # of the same size, and an eighth of the rounding of what was merged
    target.mkdir(parents=True)
    path = target / f"{job.name}-{outtype}.gguf"
    command = [*converter(job.settings.converter), str(folder), "--outfile", str(path), "--outtype", outtype]
    run_tool(command, "the conversion to GGUF", {**os.environ, "HF_HUB_OFFLINE": "1"})
    if not path.is_file():
        raise ModelError(
            f"the converter ended well, but wrote no {path.name}. Was it llama.cpp's convert_hf_to_gguf.py?"
        )
    shutil.rmtree(work, ignore_errors=True)
    return path, outtype


def ask_gguf(job: Job, file: Path, prompts: Sequence[Prompt]) -> list[str]:
    """Greedy answers of a GGUF file. CannotAskError where llama-cpp-python is not installed, or cannot run the file."""
    if find_spec("llama_cpp") is None:
        raise CannotAskError("llama-cpp-python is not installed (pip install 'recollect[gguf]'; it compiles llama.cpp)")
    limit = context_limit(bare_model(job.ref.whole).config)
    lengths = [len(ids) for ids in ids_of(load_tokenizer(job.ref.whole), prompts)]
    wanted = max(lengths) + job.settings.max_new_tokens + _ROOM
    asked = {
        "path": str(file),
        "context": min(wanted, limit) if limit else wanted,
        "threads": job.machine.threads,
        "max_new_tokens": job.settings.max_new_tokens,
        "prompts": [{"text": prompt.text, "messages": list(prompt.messages)} for prompt in prompts],
    }
    # -P: our own mlx.py and gguf.py lie beside the worker, and must not be taken for the packages
    worker = Path(__file__).with_name("llama_worker.py")
    try:
        said = run_tool([sys.executable, "-P", str(worker)], "asking the GGUF file", given=json.dumps(asked))
    except ModelError as error:
        raise CannotAskError(f"llama-cpp-python could not run it: {error}") from error
    answers: list[str] = json.loads(said.strip().splitlines()[-1])
    return answers
