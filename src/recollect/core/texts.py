"""General text: what a model is read by that is no question, from a file or as it comes with the package."""

from __future__ import annotations

import json
from pathlib import Path

from recollect.errors import InputError, input_fault
from recollect.shipped import SHIPPED


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
