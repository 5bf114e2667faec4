"""What a page may cost. A product page stays far below every one of these; a hostile one ends at the first it meets."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_BUDGET = 4096  # tokens of a prompt
PARSER_DEPTH = 255  # libxml2 itself stops reading a document here


@dataclass(frozen=True)
class Limits:
    """The caps of one page. Bytes and seconds refuse a page; depth, nodes, lines and attributes cut it, with a note."""

    bytes: int = 10_000_000
    """Of the page itself, after unpacking."""
    nodes: int = 50_000
    """Elements read; what follows is left out."""
    lines: int = 30_000
    """Lines made; what follows is left out."""
    seconds: float = 2.0
    """Of processor time for parsing and reading, so that a busy machine refuses no page."""
    attributes: int = 1_000
    """Of one element; an element with more loses them all, since parsers need quadratic time for them."""


DEFAULT_LIMITS = Limits()
