"""A line of a page: its text and what is known of the place it stands at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["title", "heading", "text", "meta", "json", "item", "data", "alt"]
_BLANK = re.compile(r"\s+")


def names(text: str) -> frozenset[str]:
    """The words of a text as a set; for lists of names that read better as one line."""
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a prompt; `text` has no line break."""

    text: str
    kind: Kind
    region: float = 0.0
    """How product-like the elements around it are by their names; negative for menus, related products, footers."""
    linked: float = 0.0
    """Share of the text that is inside links, 0..1."""
    rank: int = 0
    """Place among the lines of one JSON object; later variants count less."""


def squeeze(text: str) -> str:
    """The text on one line, every run of white space one blank."""
    return _BLANK.sub(" ", text.replace("\u200b", "").replace("\xad", "")).strip()


def pair(label: str, value: str) -> str:
    """`label: value`; a colon the label brings is not doubled."""
    bare = label.rstrip(" :\uff1a")
    return f"{bare}: {value}" if bare else value


def short_value(value: str) -> str:
    """A schema.org address as its last word: https://schema.org/InStock is InStock."""
    value = squeeze(value)
    for prefix in ("https://schema.org/", "http://schema.org/", "//schema.org/", "schema.org/"):
        if value.lower().startswith(prefix):
            return value[len(prefix) :]
    return value
