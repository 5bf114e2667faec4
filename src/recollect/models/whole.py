"""Whether the files of a model fit together, before a weight is read: every tensor, and the tokenizer.

Notable choices
- The model is built on torch's meta device, where tensors have shapes and no values, and loaded from the headers by
  transformers' own rules: renamed, fused and tied tensors are understood as they are when weights are loaded for real.
- A tokenizer may split by a regular expression of its file's own. It reads a few short texts in a thread with a
  deadline (the library lets go of the interpreter meanwhile); one that takes longer would never end on real texts.
- The libraries below panic with exceptions that are no `Exception`; here they become a ModelError.
- Special tokens beyond the embedding that no plain text can call (an image token of a text model) are let pass.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.core.native import TRIAL_TEXTS, is_panic, without_trace
from recollect.errors import ModelError
from recollect.models.check import read_model_config, unsupported
from recollect.models.parts import model_class
from recollect.models.quantised import stored_method
from recollect.models.silence import not_loaded, quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

HARMLESS = re.compile(
    r"(^|\.)(rotary_emb\.inv_freq|rotary_pos_emb\.inv_freq|masked_bias|position_ids|attn\.bias|attention\.bias"
    r"|cos_cached|sin_cached)$"
)
"""Buffers that old checkpoints hold and newer code computes: what they say is in the configuration as well."""
SECONDS = 8.0
"""How long a tokenizer may take for `TRIAL_TEXTS`; ordinary ones take milliseconds."""
_LOAD_SECONDS = 300.0  # some are converted from other formats first


def empty_model(folder: Path, trust: bool = False) -> PreTrainedModel:
    """The model of a folder without its values, once its files are known to hold exactly what it needs.

    Raises ModelError that names what is missing, left over or of another shape, and an unsupported architecture. Of
    weights that are stored quantised the names are known only once they are loaded, and checked then.
    """
    if stored_method(folder):
        model = bare_model(folder, trust)
        _check_cached(folder, model)
        return model
    model, report = _load_empty(folder, trust)
    _check_cached(folder, model)
    check_report(folder, report)
    return model


def _check_cached(folder: Path, model: PreTrainedModel) -> None:
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise unsupported(read_model_config(folder).get("model_type"), "takes no cache of keys and values", folder)


def check_report(folder: Path, report: Any) -> None:
    """Refuse what transformers reports of a loading: weights that are misshapen, missing or left over. ModelError."""
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


def bare_model(folder: Path, trust: bool = False) -> PreTrainedModel:
    """The model that config.json describes, without values and without a look at the weights. Raises ModelError.

    Unless it is trusted, no code of the folder runs; a model that brings its own is not known.
    """
    import torch
    from transformers import AutoConfig

    try:
        with quiet(), torch.device("meta"):
            model: PreTrainedModel = model_class(folder).from_config(
                AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust)
            )
    except Exception as error:
        raise not_loaded(folder, error) from error
    return model


def unused(names: Iterable[str]) -> list[str]:
    """The names that no harmless buffer has, sorted."""
    return sorted(name for name in names if not HARMLESS.search(name))


def _load_empty(folder: Path, trust: bool) -> tuple[PreTrainedModel, Any]:
    try:
        with quiet():
            model, report = model_class(folder).from_pretrained(
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


def load_tokenizer(folder: Path, trust: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, tried on a few texts. Raises ModelError when it is broken or does not end."""
    from transformers import AutoTokenizer

    def load() -> Any:
        with quiet():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust)

    tokenizer: PreTrainedTokenizerBase = _within(load, _LOAD_SECONDS, folder)
    _within(lambda: tokenizer(list(TRIAL_TEXTS), add_special_tokens=False), SECONDS, folder)
    return tokenizer


def check_vocabulary(folder: Path, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Refuse a tokenizer whose text can give tokens that the model has no embedding for. Raises ModelError."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    vocabulary = tokenizer.get_vocab()
    beyond = sorted((index, token) for token, index in vocabulary.items() if index >= rows)
    if not beyond:
        return
    used = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special} - used
    callable_ = [(index, token) for index, token in beyond if index not in special]
    if callable_:
        index, token = callable_[0]
        raise ModelError(
            f"{folder}: the tokenizer has {max(vocabulary.values()) + 1:,} tokens, but the model's embedding has "
            f"{rows:,} rows: {len(callable_)} tokens ({token!r}, id {index}, …) have no embedding. Resize the model "
            "(resize_token_embeddings of transformers) and save it, or take the tokenizer it was trained with."
        )


def _within(work: Any, seconds: float, folder: Path) -> Any:
    """What `work` gives, in a thread of its own; ModelError when it fails or is not done in time."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # a panic of a native library is no Exception
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    with without_trace(lambda: bool(failed) and is_panic(failed[0])):
        thread.start()
        thread.join(seconds)
    if failed:
        error = failed[0]
        if isinstance(error, Exception):
            raise not_loaded(folder, error, "has a tokenizer that could not be loaded") from error
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise error
        raise ModelError(
            f"{folder}: the tokenizer broke down on plain text: {str(error).rstrip('.')}. Its tokenizer.json is broken."
        )
    if not found:
        raise ModelError(
            f"{folder}: the tokenizer did not read {len(TRIAL_TEXTS)} short texts within {seconds:.0f} seconds. Its "
            "tokenizer.json is broken."
        )
    return found[0]


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _shape(shape: tuple[int, ...]) -> str:
    return " by ".join(map(str, shape)) or "a single number"
