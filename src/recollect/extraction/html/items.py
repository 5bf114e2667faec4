"""What a page says of its things in schema.org's words: JSON-LD, microdata and RDFa Lite as one kind of item.

Notable choices
- Microdata is read by extruct, against the clock, and gets no text longer than any product has. RDFa Lite is written
  into the tree as microdata first, which it mirrors word for word; a full RDFa reader takes seconds for a page.
- A script that cannot be read costs only itself, and is told in `lost`.
- A page also says what it is about: headings, titles, its own address, and its visible text. Labels are chosen by them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from recollect.core.json_object import JsonObject
from recollect.errors import InputError
from recollect.extraction.html.json_ld import PRODUCTS, clean, kinds_of, local, read_scripts
from recollect.extraction.html.lines import squeeze
from recollect.extraction.html.parse import DEFAULT_LIMITS, Limits, check_time, parse
from recollect.extraction.html.walk import page_lines

if TYPE_CHECKING:
    from lxml.etree import _Element

Syntax = Literal["json-ld", "microdata"]
_LONGEST_TEXT = 50_000  # characters of a property's text
_MOST_PROPERTIES = 20_000  # of a page; comparing more takes extruct seconds in one step
_DEEPEST = 20
_SHOWN = ("title", "heading", "text", "meta")


@dataclass(frozen=True)
class Item:
    """A thing with types and properties; names without schema.org's address, in lower case."""

    types: frozenset[str]
    properties: Mapping[str, tuple[Value, ...]]
    syntax: Syntax = "json-ld"
    """RDFa counts as microdata."""
    identity: str = ""
    """Its @id; empty without one."""

    @property
    def is_product(self) -> bool:
        """Whether one of its types is a product."""
        return bool(self.types & PRODUCTS)

    def values(self, name: str) -> tuple[Value, ...]:
        """All values of a property."""
        return self.properties.get(name.casefold(), ())

    def items(self, name: str) -> tuple[Item, ...]:
        """The values of a property that are items."""
        return tuple(value for value in self.values(name) if isinstance(value, Item))

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of a property that are texts."""
        return tuple(value for value in self.values(name) if isinstance(value, str))


Value = str | Item


@dataclass(frozen=True)
class PageData:
    """All that a page says about its product and about itself."""

    items: tuple[Item, ...] = ()
    """The outermost items in the order of reading, JSON-LD first."""
    names: tuple[str, ...] = ()
    """How the page calls what it is about: main headings, og:title, title."""
    address: str = ""
    """The page's own address: its canonical link or og:url."""
    shown: str = ""
    """The text a reader sees, and the page's own meta elements; without any structured data."""
    lost: tuple[str, ...] = ()
    """Why structured data could not be read."""


def read_page_data(html: bytes | str, limits: Limits = DEFAULT_LIMITS) -> PageData:
    """The structured data of a page. Raises InputError for a page that is empty, no text, or too slow to read."""
    tree = parse(html, limits)
    if tree.root is None:
        return PageData()
    lines = page_lines(tree, limits)[0]
    items: list[Item] = []
    lost: list[str] = []
    for script in read_scripts(tree.root):
        check_time(tree.deadline)
        lost += [script.reason] if script.reason else []
        items += _outermost(script.value, 0)
    try:
        items += _microdata_items(tree.root, tree.deadline)
    except RecursionError:
        lost.append("microdata that is nested too deeply")
    titles = [line.text[len("title: ") :] for line in lines if line.kind == "title"]
    headings = [line.text for line in lines if line.kind == "heading"]
    return PageData(
        tuple(items),
        tuple(dict.fromkeys((*headings, *_meta(tree.root, "og:title", "twitter:title"), *titles))),
        next((line.text[len("url: ") :] for line in lines if line.text.startswith("url: ")), ""),
        "\n".join(line.text for line in lines if line.kind in _SHOWN and not line.text.startswith("url: ")),
        tuple(dict.fromkeys(lost)),
    )


def _meta(root: _Element, *names: str) -> list[str]:
    found = {str(meta.get("property") or meta.get("name")): meta.get("content") or "" for meta in root.iter("meta")}
    return [squeeze(found[name]) for name in names if found.get(name, "").strip()]


def _outermost(value: Any, depth: int) -> Iterator[Item]:
    """The items of a JSON-LD document: itself, the members of a list, the members of its graph."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for one in value:
            yield from _outermost(one, depth + 1)
    elif isinstance(value, dict):
        yield from _outermost(value.get("@graph"), depth + 1)
        if value.keys() - {"@graph", "@context", "@id"}:
            yield _item(value, 0)


def _item(value: JsonObject, depth: int) -> Item:
    identity = value.get("@id")
    properties = {
        str(name).casefold(): found
        for name, inner in value.items()
        if not str(name).startswith("@") and (found := tuple(_values(inner, depth + 1)))
    }
    types = kinds_of(value.get("@type", value.get("type")))
    return Item(types, properties, "json-ld", identity if isinstance(identity, str) else "")


def _values(value: Any, depth: int) -> Iterator[Value]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for one in value:
            yield from _values(one, depth + 1)
    elif isinstance(value, dict):
        if value.keys() <= {"@id", "@type"}:
            yield from _values(value.get("@id"), depth + 1)
        else:
            yield _item(value, depth)
    elif isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
        yield str(value).strip()


def _microdata_items(root: _Element, deadline: float) -> list[Item]:
    _mark_rdfa(root)
    if sum(1 for _ in root.iterfind(".//*[@itemprop]")) > _MOST_PROPERTIES:
        return []
    logging.getLogger("extruct").setLevel(logging.CRITICAL)
    found = _microdata()(deadline).extract_items(root, base_url=None)
    return [_from_microdata(item, 0) for item in found if isinstance(item, dict)]


def _from_microdata(item: JsonObject, depth: int) -> Item:
    properties = {
        local(str(name)).casefold(): values
        for name, inner in item.get("properties", {}).items()
        if (values := tuple(_microdata_values(inner, depth + 1)))
    }
    return Item(kinds_of(item.get("type")), properties, "microdata", str(item.get("id") or ""))


def _microdata_values(value: Any, depth: int) -> Iterator[Value]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for one in value:
            yield from _microdata_values(one, depth + 1)
    elif isinstance(value, dict) and "properties" in value:
        yield _from_microdata(value, depth)
    elif isinstance(value, dict):  # an item without properties is its text
        yield from _microdata_values(value.get("value"), depth + 1)
    elif isinstance(value, str) and squeeze(value):
        yield squeeze(clean(value))


def _mark_rdfa(root: _Element) -> None:
    """Write RDFa Lite in schema.org's vocabulary into the tree as microdata."""
    marked = False
    for thing in root.iterfind(".//*[@typeof]"):
        kinds = [local(kind) for kind in thing.get("typeof", "").split()]
        if thing.get("itemscope") is None and kinds and _speaks_schema_org(thing):
            thing.set("itemscope", "")
            thing.set("itemtype", " ".join(f"https://schema.org/{kind}" for kind in kinds))
            marked = True
    for element in root.iterfind(".//*[@property]") if marked else ():
        _mark_property(element)


def _speaks_schema_org(thing: _Element) -> bool:
    if any(kind != local(kind) for kind in thing.get("typeof", "").split()):
        return True
    around = (thing, *thing.iterancestors())
    return "schema.org" in next((str(one.get("vocab")) for one in around if one.get("vocab")), "")


def _mark_property(element: _Element) -> None:
    said = [local(name) for name in (element.get("property") or "").split()]
    own = [name for name in said if ":" not in name and "/" not in name]
    if own and element.get("itemprop") is None:
        element.set("itemprop", " ".join(own))
        if element.get("content") is None and (resource := element.get("resource")):
            element.set("content", resource)


@lru_cache(maxsize=1)
def _microdata() -> type[Any]:
    """extruct's reader of microdata that looks at the clock before every item and text."""
    from extruct.w3cmicrodata import MicrodataExtractor

    class Reader(MicrodataExtractor):  # type: ignore[misc]
        def __init__(self, deadline: float) -> None:
            super().__init__(nested=True)
            self._deadline = deadline

        def _extract_item(self, node: _Element, **rest: Any) -> Any:
            check_time(self._deadline)
            return super()._extract_item(node, **rest)

        def _extract_property_value(self, node: _Element, **rest: Any) -> Any:
            try:
                return super()._extract_property_value(node, **rest)
            except InputError:
                raise
            except ValueError:  # an address that is none
                return ""

        def _extract_textContent(self, node: _Element) -> str:
            check_time(self._deadline)
            size = 0
            for text in node.itertext():
                size += len(text)
                if size > _LONGEST_TEXT:
                    return ""
            return str(super()._extract_textContent(node))

    return Reader
