"""The parts of a checkpoint that also sees or hears: which class loads all of it, and which part is its language model.

Notable choices
- A multimodal checkpoint is loaded whole and asked without images. AutoModelForCausalLM would leave the vision part out
  in silence for some (Qwen3.5, Llama 4), and whatever is saved then has lost it.
- What is not the language model is never trained: no text gives it a gradient. It is stored as it was.
- Linear modules of a recurrent state are not always called: Jamba multiplies with the weight of `dt_proj` itself, fast
  kernels on a GPU also with that of `out_proj`. An adapter beside such a module has no say.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.models.check import read_model_config

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def model_class(folder: Path) -> Any:
    """The Auto class of transformers that loads everything a folder holds. Raises ModelError for a broken config."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    config = read_model_config(folder)
    several = isinstance(config.get("text_config"), dict) and not config.get("auto_map")
    whole = several and config.get("model_type") in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    return AutoModelForImageTextToText if whole else AutoModelForCausalLM


def other_parts(model: PreTrainedModel) -> set[str]:
    """The names of the parameters beside the language model; empty for a model of text alone."""
    if model.config.get_text_config() is model.config:
        return set()
    language = [model.get_decoder(), model.get_input_embeddings(), model.get_output_embeddings()]
    own = {id(parameter) for module in language if module is not None for parameter in module.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) not in own}


_READ = (".dt_proj", ".out_proj")


def uncalled_modules(model: torch.nn.Module) -> set[str]:
    """The names of the modules whose weights a model reads by itself, on some machines at least, instead of calling
    them: nothing beside them takes part."""
    named = dict(model.named_modules())
    states = [name for name, module in named.items() if hasattr(module, "A_log") and hasattr(module, "D")]
    return {name + own for name in states for own in _READ if name + own in named}
