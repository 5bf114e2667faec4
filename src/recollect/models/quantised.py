"""Bases whose weights are quantised: stored so, or made so while they are loaded (the setting `quantize`).

Notable choices
- What transformers can load is loaded. float8, MXFP4 and compressed-tensors are widened to plain numbers in memory:
  that gives the same on every machine, can be trained beside, and runs no kernel that a library fetches from a hub.
- Others stay as they are in memory and need their own package, which is named where it is missing.
- An adapter stays beside a quantised base, unmerged: merged, its change would be rounded to the base's few levels.
- Nothing is written over quantised weights. Training all of them, and drift and restoration of weights, need the
  numbers themselves: refused by name, with the way out.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recollect.core.json_object import JsonObject
from recollect.core.machine import Machine
from recollect.errors import InputError, MissingExtra, ModelError
from recollect.models.check import read_model_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BLOCK = (32, 64)
"""Rows and columns in which bitsandbytes 0.50 packs 4-bit weights for a processor; others fail inside it."""
Quantize = Literal["none", "4bit", "8bit"]

_WIDENED = ("fp8", "mxfp8", "mxfp4", "compressed-tensors")
"""Methods that transformers widens while it loads."""
_EXTRA = {"bitsandbytes": "bitsandbytes", "compressed-tensors": "compressed_tensors"}
"""Methods whose package comes with the extra "quantized", by its name in Python."""
_PACKAGES = {
    "gptq": {"gptqmodel": "gptqmodel", "optimum": "optimum"},
    "awq": {"gptqmodel": "gptqmodel"},
    "auto-round": {"auto_round": "auto-round"},
    "aqlm": {"aqlm": "aqlm"},
    "eetq": {"eetq": "eetq"},
    "hqq": {"hqq": "hqq"},
    "quanto": {"optimum.quanto": "optimum-quanto"},
    "torchao": {"torchao": "torchao"},
    "vptq": {"vptq": "vptq"},
}
"""Packages that other methods need: by their names in Python, those that pip knows."""


def stored_method(folder: Path) -> str:
    """How a model folder's weights are quantised, by `quantization_config`: "gptq", "fp8"; empty for plain numbers.

    Raises ModelError for a folder whose config.json cannot be read.
    """
    return method_of(read_model_config(folder))


def method_of(config: JsonObject) -> str:
    """As `stored_method`, of a configuration that was read."""
    found = config.get("quantization_config")
    text = config.get("text_config")
    if not found and isinstance(text, dict):
        found = text.get("quantization_config")
    if not found:
        return ""
    if not isinstance(found, dict):
        return str(found)
    if found.get("load_in_4bit") or found.get("load_in_8bit"):
        return "bitsandbytes"
    return str(found.get("quant_method") or "of an unnamed method")


def refuse_quantised(folder: Path, what: str, instead: str = "") -> None:
    """Refuse work that needs a model's own numbers. `what` needs them; `instead`: what works. Raises ModelError."""
    method = stored_method(folder)
    if method:
        raise ModelError(
            f"{folder} is quantised ({method}, by quantization_config in config.json), and {what} needs weights that "
            f"are plain numbers. {instead}Take the model in bfloat16, or dequantise it once and save it "
            "(`model.dequantize()` and `save_pretrained` of transformers)."
        )


def check_loadable(folder: Path, quantize: str) -> None:
    """Refuse what cannot be loaded as it is quantised: twice, by an unknown method, without its package.

    Raises ModelError, InputError, MissingExtra.
    """
    method = stored_method(folder)
    if quantize != "none":
        if method:
            raise InputError(
                f"{folder} is quantised already ({method}), so quantize must be none, but is {quantize!r}."
            )
        _need_extra("bitsandbytes", f"--quantize {quantize}")
    if not method:
        return
    if method in _EXTRA:
        _need_extra(_EXTRA[method], f"a base quantised by {method}")
        return
    lacking = [package for module, package in _PACKAGES.get(method, {}).items() if not _there(module)]
    if lacking:
        raise MissingExtra(
            f"{folder} is quantised by {method}, which transformers loads with {' and '.join(lacking)}: not installed. "
            f"pip install {' '.join(lacking)}"
        )
    from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

    if method not in AUTO_QUANTIZER_MAPPING:
        raise ModelError(
            f"{folder} is quantised by {method!r}, which this transformers cannot load. It knows "
            f"{', '.join(sorted(AUTO_QUANTIZER_MAPPING))}. Take the model in bfloat16."
        )


def _need_extra(module: str, who: str) -> None:
    if not _there(module):
        raise MissingExtra(f"{who} needs {module}, which is not installed: pip install 'recollect[quantized]'")


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False


def loading(folder: Path, quantize: str, machine: Machine) -> dict[str, object]:
    """What transformers is given to load a quantised model, beside what it gets for any; {} for plain numbers.

    4 bits are NF4 with the scales quantised too, computing in the machine's number format.
    """
    method = stored_method(folder)
    if quantize == "none" and not method:
        return {}
    if quantize != "none" or method == "bitsandbytes":  # it tells of every cast, each time
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    place: dict[str, object] = {"device_map": {"": machine.device}}
    if method in _WIDENED:
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        for part in (config, config.get_text_config()):
            if isinstance(getattr(part, "quantization_config", None), dict):
                part.quantization_config = {**part.quantization_config, "dequantize": True}
        return {"config": config, **place}
    if quantize == "none":
        return place
    from transformers import BitsAndBytesConfig

    if quantize == "8bit":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True), **place}
    four = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=machine.torch_dtype,
    )
    return {"quantization_config": four, **place}


def check_packable(model: PreTrainedModel, folder: Path, device: str) -> None:
    """Refuse 4-bit layers that bitsandbytes cannot run on a processor, where it packs them in blocks. ModelError."""
    rows, columns = _BLOCK
    for name, module in model.named_modules() if device == "cpu" else ():
        if type(module).__name__ == "Linear4bit" and (module.out_features % rows or module.in_features % columns):
            raise ModelError(
                f"{folder}: the layer {name} has {module.out_features} rows of {module.in_features}, but on a "
                f"processor bitsandbytes runs 4-bit layers of multiples of {rows} rows and {columns} columns. Take "
                "--quantize 8bit, a GPU, or the model in plain numbers."
            )


def described(folder: Path, quantize: str) -> str:
    """How the weights are quantised in memory, for people; empty where they are not."""
    method = stored_method(folder)
    if method:
        return f"stored as {method}{', widened in memory' if method in _WIDENED else ''}"
    names = {"4bit": "NF4, 4 bits", "8bit": "int8, 8 bits"}
    return f"loaded as {names[quantize]} (bitsandbytes)" if quantize in names else ""


def refuse_untrainable(model: PreTrainedModel, folder: Path) -> None:
    """Refuse a quantised model beside which no adapter can be trained, by its method. Raises ModelError."""
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is not None and not quantizer.is_trainable:
        raise ModelError(
            f"{folder} is quantised by {stored_method(folder) or 'bitsandbytes'}, through which transformers gives no "
            "gradients, so no adapter can be trained on it. Take the model in bfloat16, with --quantize 4bit where "
            "memory is short."
        )
