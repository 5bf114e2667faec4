"""A GGUF file as an ordinary Hugging Face folder: weights as plain numbers, tokenizer, chat template.

transformers reads the file and widens its weights; what it then holds still calls itself quantised and refuses to be
saved. So the values go into a fresh model of the same configuration. The folder is read again, and must hold the same
values and give the same answer, before it counts.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from recollect.core.extras import need
from recollect.errors import ModelError
from recollect.models.files import all_finite
from recollect.models.silence import not_loaded, quiet

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_PROMPT = "The capital of France is"
_TOKENS = 12


def need_gguf(who: str = "recollect models get") -> None:
    """Raises MissingExtra, which names `who` needs it, where the package that reads such files is not installed."""
    need("gguf", "models", who)


def convert(file: Path, folder: Path, dtype: str = "bfloat16") -> None:
    """Write the model of a GGUF file as a folder of weights in `dtype`, and check that it is the same.

    Raises ModelError, MissingExtra.
    """
    need_gguf()
    model, tokenizer = _read(file, dtype)
    for name, weight in model.named_parameters():
        if not all_finite(weight):
            raise ModelError(f"{file}: the weight {name} holds NaN or infinite values. The file is broken.")
    with quiet():
        _plain(model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    shutil.copymode(folder / "config.json", folder / "model.safetensors")  # else it is for its owner alone
    _check_same(model, tokenizer, folder)


def _read(file: Path, dtype: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    bar = patch("transformers.modeling_gguf_pytorch_utils.tqdm", lambda items, **_: items)  # no setting turns it off
    with bar:
        return _load(file.parent, dtype, gguf_file=file.name)


def _load(folder: Path, dtype: str, **given: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=getattr(torch, dtype), local_files_only=True, **given
            )
            return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True, **given)
    except Exception as error:  # transformers raises many kinds for a file it cannot read
        raise not_loaded(folder / given.get("gguf_file", ""), error) from error


def _plain(model: PreTrainedModel) -> PreTrainedModel:
    """A model with the same weights that can be saved; it shares their memory."""
    import torch

    config = copy.deepcopy(model.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        fresh: PreTrainedModel = type(model)(config)
    fresh.load_state_dict(model.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.generation_config = model.generation_config
    return fresh


def _check_same(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Refuse a folder that does not hold what was read from the file."""
    import torch

    again, its_tokenizer = _load(folder, str(model.dtype).removeprefix("torch."))
    held = again.state_dict()
    for name, value in model.state_dict().items():
        if name not in held or not torch.equal(value, held[name]):
            raise ModelError(f"{folder}: the weight {name} is not the one of the file it was made from.")
    if not torch.equal(_greedy(model, tokenizer), _greedy(again, its_tokenizer)):
        raise ModelError(f"{folder} answers {_PROMPT!r} otherwise than the file it was made from.")


def _greedy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """The tokens of a short prompt and of what the model says to it."""
    import torch

    with torch.inference_mode(), quiet():
        given = tokenizer(_PROMPT, return_tensors="pt")
        found: torch.Tensor = model.generate(
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            max_new_tokens=_TOKENS,
            do_sample=False,
        )
    return found
