"""JSON-LD of a page in one simple form, for prompts and labels alike.

Notable choices
- No context is fetched. Names lose schema.org's address or a prefix ("schema:name", "http://schema.org/name"), value
  objects become their value, lists and sets their members, and a reference by @id becomes what it refers to, wherever
  on the page that stands.
- What a reference brought into a product does not stand beside it once more.
- Text is unescaped twice, as shops escape it twice, and loses the tags of formatting.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recollect.extraction.html.json_text import load_json, whole
from recollect.extraction.html.lines import names

if TYPE_CHECKING:
    from lxml.etree import _Element

PRODUCTS = names("product productgroup productmodel individualproduct someproducts vehicle car book")
_DEEPEST = 20
_MOST_VALUES = 200_000  # of a page; when they are used up, references stay references
_PREFIX = re.compile(r"^(?:(?:https?:)?(?://)?(?:www\.)?schema\.org[/#]|schema:|s:|sdo:)", re.IGNORECASE)
_TAGS = re.compile(r"</?(?:b|i|u|em|strong|span|br|p|sup|sub|small|font|mark|div)(?:\s[^<>]{0,200})?/?>", re.IGNORECASE)
_REFERENCE = frozenset({"@id", "@type"})


@dataclass(frozen=True)
class Script:
    """One JSON-LD script: its value in the simple form, or why there is none."""

    element: _Element
    value: Any = None
    reason: str = ""


def read_scripts(root: _Element) -> list[Script]:
    """Every JSON-LD script of a page, in order; references are looked up in all of them."""
    loaded = [_load(script) for script in root.iter("script") if is_json_ld(script)]
    simplifier = Simplifier(_definitions([script.value for script in loaded]))
    return [script if script.reason else Script(script.element, simplifier.document(script.value)) for script in loaded]


def is_json_ld(script: _Element) -> bool:
    """Whether a script is JSON-LD by its type, whatever parameters that has."""
    return "ld+json" in (script.get("type") or "").casefold()


def simple(value: Any) -> Any:
    """Any JSON in the simple form, with the references inside it."""
    return Simplifier(_definitions([value])).document(value)


def clean(text: str) -> str:
    """A text of JSON-LD as a reader sees it: entities and formatting gone."""
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if "<" in text:
        text = _TAGS.sub(" ", text)
    return whole(text)


def local(name: str) -> str:
    """A name without schema.org's address or prefix: http://schema.org/name is name."""
    return _PREFIX.sub("", name.strip())


def is_product(types: Any) -> bool:
    """Whether a @type, or one of several, is a product."""
    return any(
        isinstance(kind, str) and local(kind).rstrip("/").rsplit("/")[-1].rsplit("#")[-1].casefold() in PRODUCTS
        for kind in (types if isinstance(types, list) else [types])
    )


class Simplifier:
    """Brings JSON into the simple form; one for all scripts of a page."""

    def __init__(self, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        self._definitions = definitions
        self._within_product: set[str] = set()
        self._left = _MOST_VALUES

    def document(self, value: Any) -> Any:
        """The value of one script; members of its graph that were put into a product are left out."""
        made = self._simple(value, (), inside=False)
        return self._thinned(made) if self._within_product else made

    def _simple(self, value: Any, open_ids: tuple[str, ...], *, inside: bool) -> Any:
        self._left -= 1
        if len(open_ids) > _DEEPEST:
            return None
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, list):
            return [self._simple(one, (*open_ids, ""), inside=inside) for one in value]
        if not isinstance(value, dict):
            return value
        for wrapper in ("@value", "@list", "@set"):
            if wrapper in value:
                return self._simple(value[wrapper], (*open_ids, ""), inside=inside)
        if "@id" in value and value.keys() <= _REFERENCE:
            return self._referred(value["@id"], open_ids, inside=inside)
        own = value.get("@id")
        path = (*open_ids, own if isinstance(own, str) else "")
        inside = inside or is_product(value.get("@type", value.get("type")))
        return {local(name): self._simple(one, path, inside=inside) for name, one in value.items()}

    def _referred(self, name: Any, open_ids: tuple[str, ...], *, inside: bool) -> Any:
        """What a reference refers to; its address where that is unknown, or open around it."""
        found = self._definitions.get(name) if isinstance(name, str) else None
        if found is None or name in open_ids or self._left <= 0:
            return clean(name) if isinstance(name, str) else None
        if inside and not is_product(found.get("@type")):
            self._within_product.add(name)
        return self._simple(dict(found), open_ids, inside=inside)

    def _thinned(self, value: Any) -> Any:
        if isinstance(value, list):
            return [one for one in value if not (isinstance(one, dict) and one.get("@id") in self._within_product)]
        if isinstance(value, dict) and isinstance(value.get("@graph"), list):
            return {**value, "@graph": self._thinned(value["@graph"])}
        return value


def _load(script: _Element) -> Script:
    try:
        return Script(script, load_json("".join(script.itertext())))
    except ValueError as error:
        return Script(script, reason=f"JSON-LD that cannot be read: {error}")


def _definitions(values: list[Any]) -> dict[str, dict[str, Any]]:
    """Every object that has an @id and says more, by that @id; several of one @id are put together."""
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        for one in _objects(value):
            name = one.get("@id")
            if isinstance(name, str) and name and not one.keys() <= _REFERENCE:
                known = found.setdefault(name, {})
                for key, inner in one.items():
                    known.setdefault(key, inner)
    return found


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value, outer ones first; by a stack, since scripts may nest deeply."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            yield one
            stack.extend(reversed(list(one.values())))
        elif isinstance(one, list):
            stack.extend(reversed(one))
