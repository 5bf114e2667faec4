"""Every tensor a model needs, held against every tensor its files have: by transformers' own rules, reading no weight.

The model is built on torch's meta device, where tensors have shapes and no values, and loaded from the headers. So
renamed, fused and tied tensors are understood as they are when the weights are loaded for real.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.errors import ModelError, input_fault
from recollect.models.config import read_model_config, unsupported
from recollect.models.find import first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HARMLESS = re.compile(
    r"(^|\.)(rotary_emb\.inv_freq|rotary_pos_emb\.inv_freq|masked_bias|position_ids|attn\.bias|attention\.bias"
    r"|cos_cached|sin_cached)$"
)
"""Buffers that old checkpoints hold and newer code computes: what they say is in the configuration as well."""


def build_empty(folder: Path, trust: bool = False) -> PreTrainedModel:
    """The model of a folder without its values, once its files are known to hold exactly what it needs.

    Raises ModelError that names what is missing, left over or of another shape, and an unsupported architecture.
    """
    model, report = _load_empty(folder, trust)
    kind = read_model_config(folder).get("model_type")
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise unsupported(kind, "takes no cache of keys and values", folder)
    mismatched = sorted((name, tuple(ours), tuple(theirs)) for name, ours, theirs in report["mismatched_keys"])
    if mismatched:
        name, held, wanted = mismatched[0]
        raise ModelError(
            f"{folder}: {len(mismatched)} weights have another shape than config.json asks for: {name} is "
            f"{_shape(held)} in the checkpoint, {_shape(wanted)} by config.json. One of them belongs to another model."
        )
    missing, left = sorted(report["missing_keys"]), unused(report["unexpected_keys"])
    if missing:
        unknown = f" It holds {len(left)} of unknown names ({_few(left)})." if left else ""
        raise ModelError(
            f"{folder} lacks {len(missing)} weights ({_few(missing)}); they would be random.{unknown} "
            "The checkpoint is not whole, or config.json is another model's."
        )
    if left:
        raise ModelError(
            f"{folder} holds {len(left)} weights that its config.json has no place for ({_few(left)}); they would be "
            "left out in silence. The configuration is another model's, or the weights are."
        )
    return model


def bare_model(folder: Path) -> PreTrainedModel:
    """The model that config.json describes, without values and without a look at the weights. Raises ModelError.

    No code of the folder runs; a model that brings its own is not known.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with quiet(), torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(
                AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            )
    except Exception as error:
        raise not_loaded(folder, error) from error
    return model


def parameter_of(name: str, known: Collection[str], prefix: str) -> str | None:
    """The name among a model's own that a stored tensor has, with its base model's prefix put on or taken off."""
    for candidate in (name, f"{prefix}.{name}", name.removeprefix(f"{prefix}.")):
        if candidate in known:
            return candidate
    return None


def unused(names: Iterable[str]) -> list[str]:
    """The names that no harmless buffer has, sorted."""
    return sorted(name for name in names if not HARMLESS.search(name))


def _load_empty(folder: Path, trust: bool) -> tuple[PreTrainedModel, dict[str, Any]]:
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype="auto",
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trust,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                device_map="meta",
            )
    except Exception as error:  # transformers raises many kinds for a broken folder: all the input's fault
        raise not_loaded(folder, error) from error
    return model, report


def not_loaded(
    folder: Path, error: Exception, what: str = "could not be loaded as a causal language model"
) -> ModelError:
    """The refusal of a folder that transformers cannot load."""
    fault = input_fault(error)
    if fault is not None:
        return ModelError(f"{folder} {what}: {fault}")
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    detail = f" {lines[1]}" if len(lines) > 1 and lines[0].endswith(":") else ""
    kind = "" if len(first_line(error).split()) > 1 else f"{type(error).__name__} "  # a KeyError says the key alone
    said = f"{kind}{first_line(error)}{detail[:300]}".rstrip(". ")
    return ModelError(f"{folder} {what}: {said}. Check its JSON files, or fetch the model again.")


@contextmanager
def quiet() -> Iterator[None]:
    """While it is open, transformers prints no warning, and no bar from then on: what matters is checked here."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _shape(shape: tuple[int, ...]) -> str:
    return " by ".join(map(str, shape)) or "a single number"
