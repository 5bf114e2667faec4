"""From the bytes of a page to a tree, whatever the bytes are, within the limits of a page.

Notable choices
- lxml (libxml2), not an HTML5 tree builder: it reads a product page in about 13 ms, and its worst case is bounded.
  libxml2 stops at 256 levels, where an HTML5 parser needs quadratic time for a million open tags, and it does not copy
  open formatting tags, which in HTML5 makes 100 million nodes of 150 kB.
- The page is fed in pieces, with a look at the clock between them.
- One element with 200,000 attributes would take minutes inside one piece. Such an element loses its attributes first.
- Character sets are told in `charset`; broken bytes become U+FFFD.
- Nothing outside is ever read: no network, no document types, no entities but HTML's own.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recollect.errors import InputError
from recollect.extraction import need_pages
from recollect.extraction.html.charset import to_text
from recollect.extraction.html.json_ld import whole

if TYPE_CHECKING:
    from lxml.etree import _Element

PARSER_DEPTH = 255  # libxml2 itself stops reading a document here
_PIECE = 65_536
_LONG_TAG = 4_096  # bytes; a shorter tag cannot hold enough attributes to matter
_TAG = re.compile(rb"<([a-zA-Z][a-zA-Z0-9:-]{0,50})(?:=\s*+(?:\"[^\"]*+\"|'[^']*+')|[^>])*+")
_QUOTED = re.compile(rb"=\s*+(?:\"[^\"]*+\"|'[^']*+')")
_BLANKS = re.compile(rb"[\s/]+")
_RAW_END = {name: re.compile(rb"</" + name, re.IGNORECASE) for name in (b"script", b"style", b"textarea", b"title")}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_BINARY_SHARE = 0.02


@dataclass(frozen=True)
class Limits:
    """What a page may cost. Bytes and seconds refuse a page; nodes, lines and attributes cut it, with a note.

    A product page stays far below every one of them; a hostile one ends at the first it meets.
    """

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


@dataclass(frozen=True)
class Tree:
    """The root element (None for a page without any) and what was done to read it."""

    root: _Element | None
    notes: tuple[str, ...]
    deadline: float
    """When reading must be over, by `time.thread_time`."""


def parse(html: bytes | str, limits: Limits = DEFAULT_LIMITS, content_type: str | None = None) -> Tree:
    """Parse a page; `content_type` is the HTTP header, if known.

    Raises InputError for a page that is empty, binary, too large or too slow to read.
    """
    need_pages()
    from lxml.etree import ParserError
    from lxml.html import HTMLParser

    deadline = time.thread_time() + limits.seconds
    text, notes = _text(html, limits, content_type)
    data, stripped = _strip_floods(text.encode("utf-8", "replace"), limits, deadline)
    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
    for start in range(0, len(data), _PIECE):
        parser.feed(data[start : start + _PIECE])
        check_time(deadline)
    try:
        root = parser.close()
    except ParserError:  # nothing in it but white space or comments
        root = None
    return Tree(root, (*notes, "attributes") if stripped else notes, deadline)


def decode(html: bytes | str, limits: Limits = DEFAULT_LIMITS, content_type: str | None = None) -> str:
    """The page as text, without NUL bytes. Raises InputError for a page that is empty, too large or no text."""
    need_pages()
    return _text(html, limits, content_type)[0]


def _text(html: bytes | str, limits: Limits, content_type: str | None) -> tuple[str, tuple[str, ...]]:
    """The page as text, and notes on its character set."""
    if len(html) > limits.bytes:
        raise InputError(f"the page has {len(html):,} bytes, more than the limit of {limits.bytes:,}.")
    text, notes = (whole(html), ()) if isinstance(html, str) else to_text(html, content_type)
    if not text.strip("\x00 \t\r\n\f\ufeff"):
        raise InputError("the page is empty.")
    controls = len(_CONTROL.findall(text[:100_000]))
    if controls > _BINARY_SHARE * min(len(text), 100_000) + 10:
        raise InputError("the page is no text: it looks like an image, an archive or another binary file.")
    return _CONTROL.sub(" ", text), notes


def check_time(deadline: float) -> None:
    """Raise InputError when the page has had its time."""
    if time.thread_time() > deadline:
        raise InputError("the page took longer to read than its limit of seconds.")


def _strip_floods(data: bytes, limits: Limits, deadline: float) -> tuple[bytes, bool]:
    """The page with elements of too many attributes made bare, and whether there was one."""
    pieces, end, at, count = [], 0, 0, 0
    while match := _TAG.search(data, at):
        name, at, count = match.group(1), match.end(), count + 1
        if count % 1000 == 0:
            check_time(deadline)
        if match.end() - match.start() >= _LONG_TAG:
            attributes = len(_BLANKS.findall(_QUOTED.sub(b"= ", match.group())))
            if attributes > limits.attributes:
                pieces += [data[end : match.start()], b"<" + name]
                end = at
        if name.lower() in _RAW_END:  # what looks like a tag in a script is none
            close = _RAW_END[name.lower()].search(data, at)
            at = close.start() if close else len(data)
    return (b"".join([*pieces, data[end:]]), True) if pieces else (data, False)
