"""Which part of a data set a file is, by its name, as on the Hub: test-00000-of-00001.parquet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

FilePart = Literal["train", "test", "validation"]
PART_WORDS: dict[str, FilePart] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "heldout", "ood"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
_WORDS = re.compile(r"[^A-Za-z]+")


def part_by_name(file: Path) -> FilePart | None:
    """The part that a file's name says, None where it says none."""
    words = [word.lower() for word in _WORDS.split(file.stem)]
    return next((PART_WORDS[word] for word in words if word in PART_WORDS), None)
