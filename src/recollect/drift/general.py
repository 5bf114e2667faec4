"""The forgetting check: what fine-tuning (and repair) did to text and to facts that nobody trained on.

- Loss on general text, in nats per token: the user's own, or what comes with the pocket.
- Accuracy on the facts the base knew: memory level 3 and 4, asked in the fine-tuning prompt. Read the base's own
  number with care: it may know a fact and not answer, because it has never seen the prompt.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from recollect.core.estimates import proportion
from recollect.drift.kl import head_of, hidden_states, losses
from recollect.drift.settings import AskSettings
from recollect.drift.tokens import text_length, text_readings
from recollect.errors import InputError, input_fault
from recollect.models import find_model
from recollect.shipped import SHIPPED, text_of

if TYPE_CHECKING:
    from recollect.models import LoadedModel

KNOWN = (3, 4)
"""Memory levels of the facts that the base is said to know."""


def read_texts(text: str) -> list[str]:
    """General text: "" is none, "pocket" the pocket's held-out text; else a file.

    .txt: one document a line. .jsonl: one object a line with the key "text". Empty lines are left out. Raises
    InputError for a file that is not there, is not UTF-8, or holds no text.
    """
    if not text:
        return []
    path = (SHIPPED[text].text if text in SHIPPED else None) or Path(text)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"text must be a file, but {path} is a pipe or a device.")
    if not path.is_file():
        raise InputError(f'text must be a .txt or .jsonl file or "pocket", but there is no file {text}.')
    if path.suffix not in (".txt", ".jsonl"):
        raise InputError(f"text must end in .txt (a document a line) or .jsonl (key text), but got {path.name}.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    if path.suffix == ".jsonl":
        lines = [_text_of(line, path, number) for number, line in enumerate(lines, 1) if line.strip()]
    documents = [line for line in lines if line.strip()]
    if not documents:
        raise InputError(f"{path} holds no text.")
    return documents


def general_text(settings: AskSettings, base: str) -> list[str]:
    """The general text of the settings; the pocket brings its own."""
    return read_texts(settings.text or str(text_of(find_model(base, settings.revision)) or ""))


def general_loss(
    loaded: LoadedModel, texts: list[str], *, tokens: int | None = None, batch_size: int = 32
) -> float | None:
    """Mean -ln p of each token given those before it, in nats; None without texts."""
    readings = text_readings(loaded.tokenizer, texts, longest=text_length(loaded), tokens=tokens)
    if not readings:
        return None
    targets = [reading.ids[at + 1] for reading in readings for at in reading.at]
    hidden = hidden_states(loaded.model, readings, batch_size)
    return float(losses(hidden, head_of(loaded.model), targets).mean())


def known_accuracy(outputs: pl.DataFrame, matcher: str = "contains") -> dict[str, Any] | None:
    """Accuracy in percent (95 % interval) on the facts of level 3 and 4 of all parts of an outputs table."""
    known = outputs.filter(pl.col("level").is_in(KNOWN))
    if not known.height:
        return None
    right = int(known[matcher].sum())
    accuracy, low, high = proportion(right, known.height).percent
    return {"accuracy": accuracy, "low": low, "high": high, "n": known.height}


def _text_of(line: str, path: Path, number: int) -> str:
    try:
        value = json.loads(line)
        str(value).encode()
    except (ValueError, RecursionError) as error:  # ValueError: also half a character, or a number of 5,000 digits
        fault = input_fault(error) or "not valid JSON."
        raise InputError(f"{path}, line {number}: {fault}") from None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise InputError(f'{path}, line {number}: expected an object with the key "text", but got {line[:80]}.')
    return str(value["text"])
