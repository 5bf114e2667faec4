"""vllm: a folder that vLLM serves, and the command; a plain adapter beside its base, any other merged."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from recollect.errors import InputError, ModelError
from recollect.export.adapter import write_adapter
from recollect.export.exporter import CannotAskError, Job, Prompt, Written
from recollect.export.greedy import ids_of
from recollect.export.merged import write_whole
from recollect.export.settings import ExportSettings
from recollect.generate.encoding import context_limit
from recollect.generate.transformers import stop_tokens
from recollect.models.plain_adapter import plain_rank
from recollect.models.whole import empty_model, load_tokenizer


class Vllm:
    """What vLLM is given, and how."""

    whole = False

    def bound(self, settings: ExportSettings) -> float:
        """Its kernels round otherwise, and an adapter is added beside its base in their number format."""
        return 0.9

    def check(self, job: Job) -> None:
        """Nothing is needed to write it."""

    def write(self, job: Job, target: Path, work: Path) -> Written:
        """The adapter's folder where vLLM applies it as it is, else a whole folder."""
        rank, why = _plain(job)
        if rank:
            notes = write_adapter(job, target)
            base = job.settings.base_id or job.origin.hub_id or str(job.ref.whole)
            lora = f"--enable-lora --max-lora-rank {_allowed(rank)} --lora-modules {job.name}={target.name}"
            return Written(target, (*notes, f"serve it, from the folder that holds it: vllm serve {base} {lora}"))
        notes, changed = write_whole(job, target)
        told = (f"merged, since the adapter {why}",) if why else ()
        return Written(
            target,
            (
                *notes,
                *told,
                f"serve it, from the folder that holds it: vllm serve {target.name} --served-model-name {job.name}",
            ),
            changed,
        )

    def ask(self, job: Job, written: Written, prompts: Sequence[Prompt]) -> list[str]:
        """By vLLM, from the same token ids."""
        if find_spec("vllm") is None:
            raise CannotAskError("vLLM is not installed here (docs/engines.md says how, in an environment of its own)")
        from recollect.generate.vllm import VllmEngine
        from recollect.generate.vllm_start import Served

        adapter = written.path if (written.path / "adapter_config.json").is_file() else None
        folder = job.ref.whole if adapter else written.path
        tokenizer, empty = load_tokenizer(folder, job.ref.runs_code), empty_model(folder, job.ref.runs_code)
        try:
            engine = VllmEngine(
                Served(
                    folder=folder,
                    tokenizer=tokenizer,
                    stops=frozenset(stop_tokens(empty, tokenizer)),
                    machine=job.machine,
                    context=context_limit(empty.config),
                    adapter=adapter,
                    rank=_plain(job)[0],
                    runs_code=job.ref.runs_code,
                )
            )
            said = engine.greedy(ids_of(tokenizer, prompts), job.settings.max_new_tokens)
        except (ModelError, InputError) as error:
            raise CannotAskError(f"vLLM could not run it: {error}") from error
        return [engine.decode(ids) for ids in said]


def _plain(job: Job) -> tuple[int, str]:
    """The rank of an adapter that vLLM applies beside its base; 0 and why for any other, and "" for a whole model."""
    if job.ref.base is None:
        return 0, ""
    try:
        return plain_rank(job.ref), ""
    except ModelError as error:
        return 0, str(error).removeprefix(f"{job.ref.folder} ").partition(":")[0]


def _allowed(rank: int) -> int:
    from recollect.generate.vllm_start import RANKS

    return next((one for one in RANKS if one >= rank), RANKS[-1])
