"""From a name to a loaded base model: find it, refuse what is unsafe, load it, check it, fingerprint it.

Notable choices
- safetensors only; a folder with nothing but pickled weights is refused, never converted behind the user's back.
- Code that comes with a model does not run unless the user asks for it *and* pins its revision.
- A name that looks like a path is looked up on disk first and never sent to a hub.
- LoRA adapter folders load as their base with the adapter merged into it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.errors import ModelError
from recollect.machine import Machine, prepare
from recollect.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

POCKET = "pocket"
_CODE_EXTENSIONS = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


class ModelSettings(Settings):
    """Which model, and how to hold it. Part of every step that runs a model."""

    model: str = POCKET
    """A folder, a Hugging Face name, or "pocket" for the small base model shipped with Recollect."""
    revision: str | None = None
    """Hub revision; with trust_remote_code, the pinned revision of the code (for a folder: the hash the refusal prints)."""
    trust_remote_code: bool = False
    """Let code inside the model's folder run. Needs --revision. Off, and better left off."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a CUDA device when there is one."""
    dtype: str = "auto"
    """float32, bfloat16 or float16; auto takes bfloat16 on a GPU that has it, else float32."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, with its tokenizer and what is known of it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    folder: Path
    fingerprint: str
    machine: Machine

    @property
    def device(self) -> str:
        """The device the weights are on."""
        return self.machine.device


def pocket_folder() -> Path:
    """The folder of the pocket base model inside the package."""
    return Path(str(resources.files("recollect") / "pocket" / "base"))


def find_model(name: str, revision: str | None = None) -> Path:
    """The local folder of a model; downloads a hub model only when the hub may be used. Raises ModelError."""
    if name == POCKET:
        return pocket_folder()
    path = Path(name).expanduser()
    if path.is_dir():
        manifest = path / "manifest.json"
        inner = path / "model"
        if manifest.is_file() and inner.is_dir():  # a train or pocket step directory
            return inner
        return path
    if path.is_file():
        raise ModelError(f"{name} is a file; a model is a folder with config.json and *.safetensors.")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", name) or name.count("/") > 1:
        raise ModelError(f"no such model folder: {name}. Give an existing folder, a Hugging Face name, or 'pocket'.")
    return _from_hub(name, revision)


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        pass
    where = f"there is no folder {name!r} here, and the hub model {name!r} is not in the local cache"
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
        raise ModelError(f"{where}; HF_HUB_OFFLINE forbids fetching it. Check the path, or unset HF_HUB_OFFLINE.")
    try:
        HfApi().model_info(name, revision=revision, timeout=5)
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "no answer")
        raise ModelError(f"{where}; the hub answered {status} for it. Check the name, or log in.") from None
    except Exception as error:  # no network: every client library has its own exception for it
        raise ModelError(
            f"{where}; the hub could not be reached ({type(error).__name__}). Check the path or the network."
        ) from None
    return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))


def check_folder(folder: Path, *, trust_remote_code: bool = False, revision: str | None = None) -> None:
    """Refuse a folder that is not a safe, complete model; the error says what is wrong and how to mend it."""
    config = folder / "config.json"
    adapter = folder / "adapter_config.json"
    if not config.is_file() and not adapter.is_file():
        raise ModelError(f"{folder} holds no config.json (nor adapter_config.json); it is not a model folder.")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(file.name for file in folder.iterdir() if file.suffix in _CODE_EXTENSIONS)
        if pickled:
            raise ModelError(
                f"{folder} holds only pickled weights ({', '.join(pickled[:3])}), which can run code when read; "
                "only safetensors are loaded. Convert them once in a place you trust, with "
                "`model.save_pretrained(FOLDER)` of transformers."
            )
        raise ModelError(f"{folder} holds no *.safetensors weights.")
    wants_code = config.is_file() and "auto_map" in _read_config(config)
    if wants_code:
        pin = _code_hash(folder)
        if not trust_remote_code:
            raise ModelError(
                f"{folder} wants to run its own Python code (auto_map in config.json). Refused. If you have read that "
                f"code and trust it, add --trust-remote-code --revision {pin}."
            )
        if revision != pin and not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
            raise ModelError(
                f"--trust-remote-code needs the code's pinned revision: expected --revision {pin} "
                f"(or a hub commit of 40 hex digits), but got {revision!r}."
            )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is not readable JSON: {error}.") from None
    if not isinstance(loaded, dict):
        raise ModelError(f"{path} must hold a JSON object, but holds {type(loaded).__name__}.")
    return loaded


def _code_hash(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def model_fingerprint(folder: Path) -> str:
    """Hash of the weights, the configuration and the tokenizer: everything that decides what the model says."""
    digest = hashlib.blake2b(digest_size=16)
    names = ("config.json", "tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "adapter_config.json")
    files = sorted(folder.glob("*.safetensors")) + [folder / name for name in names if (folder / name).is_file()]
    for file in files:
        if file.name == "adapter_config.json":
            base = _adapter_base(folder)
            digest.update(model_fingerprint(base).encode())
            continue
        digest.update(file.name.encode() + b"\0")
        with file.open("rb") as handle:
            while chunk := handle.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


def _adapter_base(folder: Path) -> Path:
    name = _read_config(folder / "adapter_config.json").get("base_model_name_or_path")
    if not name:
        raise ModelError(f"{folder / 'adapter_config.json'} names no base model (base_model_name_or_path).")
    return find_model(str(name))


def load(settings: ModelSettings, *, merge_adapter: bool = True) -> LoadedModel:
    """Find, check and load the model of `settings`, in evaluation mode; raises ModelError.

    A LoRA adapter folder is loaded on its base and, with `merge_adapter`, merged into it.
    """
    folder = find_model(settings.model, settings.revision)
    check_folder(folder, trust_remote_code=settings.trust_remote_code, revision=settings.revision)
    machine = prepare(settings.device, settings.dtype)
    model, tokenizer = load_folder(folder, machine, trust_remote_code=settings.trust_remote_code)
    return LoadedModel(model, tokenizer, folder, model_fingerprint(folder), machine)


def load_folder(
    folder: Path, machine: Machine, *, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a checked folder in evaluation mode; NaN or infinite weights raise ModelError."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    adapter = (folder / "adapter_config.json").is_file()
    base = _adapter_base(folder) if adapter else folder
    if adapter:
        check_folder(base, trust_remote_code=trust_remote_code)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=machine.torch_dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
        )
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:  # transformers raises many kinds for a broken folder; all are the input's fault here
        raise ModelError(f"{base} could not be loaded as a causal language model: {_first_line(error)}") from error
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder, local_files_only=True).merge_and_unload()
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ModelError(f"{folder}: the weight {name} holds NaN or infinite values. The checkpoint is broken.")
    model = model.to(machine.device).eval()
    return model, tokenizer


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
