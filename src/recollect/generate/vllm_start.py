"""Starting vLLM: its settings, its environment, and where both differ from what it would do by itself.

Notable choices
- It runs in processes of its own. In ours it would bind memory, replace torch's function for threads and keep both.
- Variables of the environment are set while it starts, since its processes inherit them, and are then put back, also
  those that vLLM writes itself. What a user has set of `_UNLESS_SET` holds.
- Its processes would outlive one of ours that is killed; they are told to follow it (`vllm_worker`).
- Nothing is reported to vLLM's makers (it would, by default), and nothing but errors is printed.
- Nothing is taken from the model's own generation settings, and its tokenizer is not loaded: prompts go in as ids.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.core.machine import Machine
from recollect.core.phases import phase
from recollect.errors import InputError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The largest ranks of adapters that vLLM can be started for."""
TRANSFORMERS = "Take --engine transformers, which runs the model in this process."
_GIB = 1 << 30
_UNLESS_SET = {"VLLM_LOGGING_LEVEL": "ERROR", "TORCH_CPP_LOG_LEVEL": "ERROR", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


@dataclass(frozen=True)
class Served:
    """A model that was found and checked, as vLLM is to serve it."""

    folder: Path
    tokenizer: PreTrainedTokenizerBase
    stops: frozenset[int]
    """The ids that end a text."""
    machine: Machine
    context: int | None = None
    """The most tokens that the model was made to read."""
    adapter: Path | None = None
    """A plain LoRA adapter of that model."""
    rank: int = 0
    """The adapter's largest rank."""
    runs_code: bool = False
    memory_fraction: float = 0.85
    """Of the GPU's memory, for weights and cache."""
    reason: str = "asked for"
    """Why it is vLLM that serves it."""
    compiled: bool | None = None
    """Whether it is compiled first; by default on a GPU. On two cores that takes a minute or two and saves a sixth."""


def start_vllm(served: Served) -> Any:
    """vLLM's `LLM` for the model, ready to answer; takes half a minute or more.

    Raises InputError for a device that the installed build is not for, ModelError for a model that it cannot run.
    """
    with phase("starting vLLM"), _environment(served.machine), _quiet():
        from vllm import LLM
        from vllm.platforms import current_platform

        _check_device(served.machine, current_platform.device_type)
        arguments = _arguments(served)
        try:
            llm = LLM(**arguments)
            llm.collective_rpc("recollect_follow", args=(os.getpid(),))
            return llm
        except Exception as error:  # of many kinds; that of another process is printed there
            raise refused(served.folder, "start", error) from error


def knows(machine: Machine, architectures: object) -> bool:
    """Whether the vLLM that is installed has one of these architectures, as a configuration names them."""
    with _environment(machine), _quiet():
        from vllm import ModelRegistry

        known = set(ModelRegistry.get_supported_archs())
    return isinstance(architectures, list) and not known.isdisjoint(map(str, architectures))


def adapter_request(served: Served) -> Any:
    """What vLLM wants beside each prompt for the adapter; None without one."""
    if served.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(served.adapter))


def refused(folder: Path, did: str, error: Exception) -> ModelError:
    """The error of a vLLM that did not `did`."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ModelError(
        f"vLLM could not {did} with {folder}: {said[:300].rstrip('.')}. What its own processes said stands above. "
        f"{TRANSFORMERS}"
    )


def _arguments(served: Served) -> dict[str, Any]:
    given: dict[str, Any] = {
        "model": str(served.folder),
        "skip_tokenizer_init": True,
        "trust_remote_code": served.runs_code,
        "load_format": "safetensors",
        "use_tqdm_on_load": False,
        "dtype": served.machine.dtype,
        "generation_config": "vllm",
        "logprobs_mode": "processed_logprobs",  # at the temperature that is asked for
        "max_logprobs": -1,
        "max_model_len": -1,  # as much of the model's context as the memory holds
        "enforce_eager": not (served.machine.device != "cpu" if served.compiled is None else served.compiled),
        "seed": 0,  # set anew before draws
        "worker_extension_cls": "recollect.generate.vllm_worker.Added",
    }
    if served.adapter is not None:
        rank = next((rank for rank in RANKS if rank >= served.rank), None)
        if rank is None:
            raise InputError(
                f"{served.adapter} has rank {served.rank:,}, but vLLM takes adapters up to rank {RANKS[-1]}. "
                f"{TRANSFORMERS}"
            )
        given |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": rank}
    if served.machine.device == "cpu":
        given["kv_cache_memory_bytes"] = _cache_bytes()
    else:
        given["gpu_memory_utilization"] = served.memory_fraction
    return given


def _cache_bytes() -> int:
    """For keys and values on a CPU: a quarter of the free memory in whole GiB, from one to four."""
    import psutil

    return max(1, min(4, int(psutil.virtual_memory().available / 4 / _GIB))) * _GIB


def _check_device(machine: Machine, built_for: str) -> None:
    kind = machine.device.partition(":")[0]
    if kind != built_for:
        raise InputError(
            f"device is {machine.device}, but the vLLM that is installed is built for {built_for}. Take --device "
            f"{built_for}, install the other build (docs/engines.md), or take --engine transformers."
        )


@contextmanager
def _environment(machine: Machine) -> Iterator[None]:
    """The variables that vLLM's processes shall see; afterwards the environment is as it was."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in _UNLESS_SET.items() if name not in before})
    os.environ.update({"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore"})
    if machine.device == "cpu":
        os.environ["OMP_NUM_THREADS"] = str(machine.threads)
    elif number := re.fullmatch(r"cuda:([0-9]+)", machine.device):
        seen = [name for name in before.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[int(number[1])] if seen else number[1]
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _quiet() -> Iterator[None]:
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
