"""A model's tokenizer, loaded and tried: broken, endless or beyond the embedding, it is refused in one line.

Notable choices
- A tokenizer may split by a regular expression of its file's own. It reads a few short texts in a thread with a
  deadline (the library lets go of the interpreter meanwhile); one that takes longer would never end on real texts.
- The libraries below panic with exceptions that are no `Exception`; here they become a ModelError.
- Special tokens beyond the embedding that no plain text can call (an image token of a text model) are let pass.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.core.native import TRIAL_TEXTS, is_panic, without_trace
from recollect.errors import ModelError
from recollect.models.tensors import not_loaded, quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SECONDS = 8.0
"""How long a tokenizer may take for `TRIAL_TEXTS`; ordinary ones take milliseconds."""
_LOAD_SECONDS = 300.0  # some are converted from other formats first


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
