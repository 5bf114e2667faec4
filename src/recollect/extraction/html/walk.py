"""From a page's tree to its lines, in document order: visible text, and the attributes that carry product data.

Notable choices (the format is written down in docs/pages.md)
- A block element ends a line, an inline one does not. Neighbouring spans are set apart by a blank, as pages do by
  style; `<b>`, `<i>` and their like are not, since they are inside words, nor is a separator cut off from its digits.
- A table row of one line per cell is one line: `label: value`, or `a | b | c`. So is a definition list's pair.
- What `hidden` or an inline `display:none` hides is left out: it is mostly the other state of the page ("sold out").
- Scripts other than JSON-LD are left out: on our 108 real pages no sku, brand or gtin occurs in scripts alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recollect.extraction.html.json_ld import Script, is_json_ld, names, read_scripts
from recollect.extraction.html.lines import (
    BAD_REGION,
    BAD_TAGS,
    DATA_NAME,
    GOOD_REGION,
    META_NAME,
    META_NEVER,
    Kind,
    Line,
    broken_lines,
    json_lines,
    pair,
    product_lines,
    short_value,
    squeeze,
)
from recollect.extraction.html.parse import DEFAULT_LIMITS, PARSER_DEPTH, Limits, Tree, check_time

if TYPE_CHECKING:
    from lxml.etree import _Element

_GONE = names("script style noscript template svg math iframe object canvas audio video map frameset applet")
_INSIDE_WORDS = names("b big em font i mark s strong tt u wbr bdi bdo abbr")
_INLINE = _INSIDE_WORDS | names(
    "a cite code data del dfn ins kbd meter output q samp small span strike sub sup time var img input link meta"
)
_NO_DISPLAY = re.compile(r"display\s{0,3}:\s{0,3}none", re.IGNORECASE)
_PREFIX = re.compile(r"^(?:og|product|twitter|og:product|business|schema|dc):", re.IGNORECASE)
_EDGE = "\x1f"  # where an inline element begins or ends; decoded pages hold none
_LONE_SEPARATOR = re.compile(rf"(?<=\d){_EDGE}+([.,'’]){_EDGE}*(?=\d)")  # 1 . 299: one amount, cut up for its style
_LONGEST_DATA = 200  # characters of an attribute's value; longer ones are state, not a value
_LONGEST_ROW = 300  # characters of a table row on one line
_LONGEST_LINE = 20_000
_CLOCK_EVERY = 2_000


def page_lines(tree: Tree, limits: Limits = DEFAULT_LIMITS) -> tuple[list[Line], int, tuple[str, ...]]:
    """The lines of a page in document order, the number of elements read, and notes on what was cut.

    Raises InputError when the page takes longer than its limit.
    """
    if tree.root is None:
        return [], 0, tree.notes
    walk = _Walk(limits, tree.deadline, {script.element: script for script in read_scripts(tree.root)})
    walk.run(tree.root)
    return walk.lines, walk.nodes, (*tree.notes, *sorted(walk.notes))


@dataclass(slots=True)
class _Open:
    """An element whose end has not come yet."""

    tag: str
    region: float
    start: int
    """Lines there were when it began."""
    skipped: bool = False


class _Walk:
    """One walk over one page: the lines so far, and the line at work."""

    def __init__(self, limits: Limits, deadline: float, scripts: Mapping[_Element, Script]) -> None:
        self.lines: list[Line] = []
        self.nodes = 0
        self.notes: set[str] = set()
        self._limits, self._deadline, self._scripts = limits, deadline, scripts
        self._open: list[_Open] = []
        self._text: list[str] = []
        self._linked = 0
        self._links = 0
        self._region = 0.0
        self._kind: Kind = "text"
        self._seen: set[str] = set()

    def run(self, root: _Element) -> None:
        """Read everything below the root; a loop and not a recursion, since pages nest 250 levels deep."""
        from lxml.etree import iterwalk

        walk = iterwalk(root, events=("start", "end"))
        for event, element in walk:
            if event == "start":
                if self.nodes >= self._limits.nodes:
                    self.notes.add("nodes")
                    break
                if len(self.lines) >= self._limits.lines:
                    self.notes.add("lines")
                    break
                if self._start(element):
                    walk.skip_subtree()
            else:
                self._end(element)
        self.flush()

    def _start(self, element: _Element) -> bool:
        """Begin an element; whether what is in it is to be skipped."""
        self.nodes += 1
        if self.nodes % _CLOCK_EVERY == 0:
            check_time(self._deadline)
        if len(self._open) >= PARSER_DEPTH - 1:
            self.notes.add("depth")
        tag = element.tag
        outer = self._open[-1].region if self._open else 0.0
        if not isinstance(tag, str) or tag in _GONE or _hidden(element):
            if tag == "script" and is_json_ld(element):
                self._script(element)
            self._open.append(_Open("", outer, 0, skipped=True))
            return True
        region = _region(element, tag, outer)
        if tag not in _INLINE:
            self.flush()
        self._attributes(element, tag, region)
        whole = tag in ("select", "title")
        self._open.append(_Open(tag, region, len(self.lines), skipped=whole))
        if whole:
            self._whole(element, tag, region)
            return True
        self._links += tag == "a"
        self._kind = "heading" if tag == "h1" else self._kind
        if tag in _INLINE and tag not in _INSIDE_WORDS:
            self._text.append(_EDGE)
        self._add(element.text, region)
        return False

    def _end(self, element: _Element) -> None:
        opened = self._open.pop()
        tag = opened.tag
        if not opened.skipped:
            if tag not in _INLINE:
                self.flush()
            elif tag not in _INSIDE_WORDS:
                self._text.append(_EDGE)
            self._links -= tag == "a"
            self._kind = "text" if tag == "h1" else self._kind
            if tag == "tr":
                self._join_row(opened.start, sum(1 for cell in element if cell.tag in ("td", "th")))
            elif tag == "dd":
                self._join_definition(element, opened.start)
        self._add(element.tail, self._open[-1].region if self._open else 0.0)

    def _whole(self, element: _Element, tag: str, region: float) -> None:
        """An element that makes one line: a select, or the page's title."""
        if tag == "select":
            options = (squeeze("".join(option.itertext())) for option in element.iter("option"))
            self._add(" | ".join(filter(None, options)), region)
            self.flush()
        elif not any(line.kind == "title" for line in self.lines):
            text = squeeze("".join(element.itertext()))
            if text:
                self._keep(Line(f"title: {text[:_LONGEST_LINE]}", "title"))

    def flush(self) -> None:
        """End the line at work."""
        text = squeeze(_LONE_SEPARATOR.sub(r"\1", "".join(self._text)).replace(_EDGE, " "))
        if text:
            share = min(1.0, self._linked / len(text))
            self._keep(Line(text[:_LONGEST_LINE], self._kind, self._region, share))
        self._text, self._linked = [], 0

    def _add(self, text: str | None, region: float) -> None:
        if not text:
            return
        if not self._text or not "".join(self._text[:3]).replace(_EDGE, "").strip():
            self._region = region
        self._text.append(text)
        if self._links:
            self._linked += len(text.strip())

    def _attributes(self, element: _Element, tag: str, region: float) -> None:
        if tag == "meta":
            self._meta(element, region)
            return
        if tag == "link" and element.get("rel", "").lower() == "canonical":
            self._address(element.get("href", ""), region)
        item = element.get("itemprop")
        if item:
            value = (
                element.get("content") or (element.get("href") if tag == "link" else None) or element.get("datetime")
            )
            if value and len(value) <= 10 * _LONGEST_DATA and (item == "name" or DATA_NAME.search(item)):
                self._pair(item, value, "item", region)
        if tag == "input":
            self._input(element, region)
        for name, key in (("alt", "alt"), ("aria-label", "label")):
            if said := element.get(name):
                self._pair(key, said, "alt", region)
        for name, value in element.attrib.items():
            if name.startswith("data-") and DATA_NAME.search(name):
                if value.startswith(("{", "[")):
                    self._data(json_lines(value, region))
                elif len(value) <= _LONGEST_DATA:
                    self._pair(name.removeprefix("data-"), value, "data", region)

    def _meta(self, element: _Element, region: float) -> None:
        name = element.get("itemprop") or element.get("property") or element.get("name") or ""
        value = element.get("content") or ""
        if name == "og:url":
            self._address(value, region)
        elif (META_NAME.search(name) or DATA_NAME.search(name)) and not META_NEVER.search(name):
            key = _PREFIX.sub("", _PREFIX.sub("", name))
            self._pair(key, value, "item" if element.get("itemprop") else "meta", region)

    def _address(self, address: str, region: float) -> None:
        """The page's own address, once; shops write the product's number there."""
        if address and len(address) <= 2 * _LONGEST_DATA and not any(line.text[:5] == "url: " for line in self.lines):
            self._pair("url", address, "meta", region)

    def _input(self, element: _Element, region: float) -> None:
        kind, value = element.get("type", "text").lower(), element.get("value", "")
        if kind in ("submit", "button", "reset"):
            self._add(f" {value} ", region)
        elif kind == "hidden":
            name = element.get("name") or element.get("id") or ""
            if DATA_NAME.search(name) and len(value) <= _LONGEST_DATA:
                self._pair(name, value, "data", region)

    def _script(self, element: _Element) -> None:
        script = self._scripts[element]
        if script.reason:
            self.notes.add("json-ld")
            self._data(broken_lines("".join(element.itertext())))
        else:
            self._data(product_lines(script.value))

    def _pair(self, key: str, value: str, kind: Kind, region: float) -> None:
        shown = short_value(value)
        if shown:
            self._data([Line(pair(squeeze(key)[:100], shown[:_LONGEST_LINE]), kind, region)])

    def _data(self, lines: list[Line]) -> None:
        """Lines of attributes go before the line at work; a pair that stands already is not repeated."""
        for line in lines:
            if line.text not in self._seen:
                self._seen.add(line.text)
                self._keep(line)

    def _keep(self, line: Line) -> None:
        if "\ufffd" in line.text:
            self.notes.add("characters")
        self.lines.append(line)

    def _join_row(self, start: int, cells: int) -> None:
        """The lines since `start` as one, when they are short and no more than the cells."""
        rows = [line for line in self.lines[start:] if line.kind in ("text", "heading")]
        if len(rows) < 2 or len(rows) > cells or sum(len(line.text) for line in rows) > _LONGEST_ROW:
            return
        texts = [line.text for line in rows]
        text = pair(*texts) if len(texts) == 2 else " | ".join(texts)
        others = [line for line in self.lines[start:] if line.kind not in ("text", "heading")]
        share = max(line.linked for line in rows)
        self.lines[start:] = [*others, Line(text, "text", max(line.region for line in rows), share)]

    def _join_definition(self, element: _Element, start: int) -> None:
        before = element.getprevious()
        if before is None or before.tag != "dt" or start == 0 or self.lines[start - 1].kind != "text":
            return
        if squeeze("".join(before.itertext())) == self.lines[start - 1].text and len(self.lines) == start + 1:
            self._join_row(start - 1, 2)


def _hidden(element: _Element) -> bool:
    return element.get("hidden") is not None or bool(_NO_DISPLAY.search(element.get("style", "")[:500]))


def _region(element: _Element, tag: str, region: float) -> float:
    """How product-like this place is: -2 (menus, related products) to 2; inner names count on top of outer ones."""
    marks = f"{element.get('id', '')} {element.get('class', '')} {element.get('itemprop', '')}"[:300]
    if tag in BAD_TAGS or BAD_REGION.search(marks):
        region -= 1
    if len(marks) > 2 and GOOD_REGION.search(marks):
        region += 0.5
    return max(-2.0, min(2.0, region))
