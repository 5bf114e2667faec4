"""mlx: a folder as mlx-lm converts it, for Apple's processors; asked through mlx-lm.

Where mlx-lm is not installed the whole Hugging Face folder is written, which mlx-lm reads as it is, and the command
that converts it is told.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from recollect.errors import ModelError
from recollect.export.exporter import CannotAskError, Job, Prompt, Written
from recollect.export.external import run_tool
from recollect.export.greedy import ids_of
from recollect.export.merged import write_whole
from recollect.export.settings import ExportSettings
from recollect.models.whole import load_tokenizer


class Mlx:
    """A folder for mlx-lm."""

    whole = True

    def bound(self, settings: ExportSettings) -> float:
        """As for 16-bit GGUF files: other kernels, in 16 bits."""
        return 0.9

    def check(self, job: Job) -> None:
        """Nothing is refused: without mlx-lm the folder is written unconverted."""

    def write(self, job: Job, target: Path, work: Path) -> Written:
        """The converted folder, or the whole one and the command."""
        if find_spec("mlx_lm") is None:
            notes, _ = write_whole(job, target)
            command = f"mlx_lm.convert --hf-path {target.name} --mlx-path {job.name}-mlx"
            return Written(
                target,
                (*notes, f"mlx-lm is not installed, so this is the Hugging Face folder; where it is: {command}"),
                "A Hugging Face folder that mlx-lm reads; it was not converted.",
            )
        folder = work / "whole"
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        notes, _ = write_whole(job, folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        run_tool(
            [sys.executable, "-m", "mlx_lm", "convert", "--hf-path", str(folder), "--mlx-path", str(target)],
            "the conversion by mlx-lm",
        )
        shutil.rmtree(work, ignore_errors=True)
        return Written(target, notes, "Converted by mlx-lm.")

    def ask(self, job: Job, written: Written, prompts: Sequence[Prompt]) -> list[str]:
        """By mlx-lm, in a process of its own, from the same token ids."""
        if find_spec("mlx_lm") is None:
            raise CannotAskError("mlx-lm is not installed (pip install mlx-lm, elsewhere than on a Mac with mlx[cpu])")
        ids = ids_of(load_tokenizer(job.ref.whole, job.ref.runs_code), prompts)
        asked = {"path": str(written.path), "max_new_tokens": job.settings.max_new_tokens, "prompts": ids}
        # -P: our own mlx.py lies beside the worker, and must not be taken for the package
        worker = Path(__file__).with_name("mlx_worker.py")
        try:
            said = run_tool([sys.executable, "-P", str(worker)], "asking mlx-lm", given=json.dumps(asked))
        except ModelError as error:
            raise CannotAskError(f"mlx-lm could not run it: {error}") from error
        answers: list[str] = json.loads(said.strip().splitlines()[-1])
        return answers
