"""JSON as shops write it, and JSON-LD of a page in one simple form: the one reader for prompts and labels.

Notable choices
- Wrappers are taken off first: HTML comments, CDATA marks, a closing semicolon, a byte order mark. Scripts whose
  quotation marks are entities, and JSON inside a JSON text, are unpacked.
- What is no JSON then is read without comments and last commas (jstyleson, as in extruct), then by json-repair, which
  closes quotes and adds commas. A script that is cut off is refused: its last value may be half of one. extruct's own
  reader of JSON-LD stops at the first of these, and turns numbers into floats.
- Numbers keep their digits as written: 12.50 is "12.50". Half of a surrogate pair, as a cut emoji leaves it, is U+FFFD.
- No context is fetched. Names lose schema.org's address or a prefix ("schema:name", "http://schema.org/name"), value
  objects become their value, lists and sets their members, and a reference by @id becomes what it refers to, wherever
  on the page that stands. What a reference brought into a product does not stand beside it once more.
- Text is unescaped twice, as shops escape it twice, and loses the tags of formatting.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recollect.core.json_object import JsonObject

if TYPE_CHECKING:
    from lxml.etree import _Element


def names(text: str) -> frozenset[str]:
    """The words of a text as a set; for lists of names that read better as one line."""
    return frozenset(text.split())


PRODUCTS = names("product productgroup productmodel individualproduct someproducts vehicle car book")
LONGEST = 1_000_000  # characters of one script
_LONGEST_REPAIR = 30_000  # characters; json-repair needs quadratic time for some texts
_DEEPEST = 20
_MOST_VALUES = 200_000  # of a page; when they are used up, references stay references
_OPENING = re.compile(r"\s*(?:<!--|//\s*<!\[CDATA\[|/\*\s*<!\[CDATA\[\s*\*/|<!\[CDATA\[|//\s*-->|\ufeff|;)")
_CLOSING = ("-->", "]]>", "/*", "*/", "//", ";", "<!--")
_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*+"|(?<![\w.])-?\d+\.\d+(?![\w.])', re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
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
    simplifier = _Simplifier(_definitions([script.value for script in loaded]))
    return [script if script.reason else Script(script.element, simplifier.document(script.value)) for script in loaded]


def is_json_ld(script: _Element) -> bool:
    """Whether a script is JSON-LD by its type, whatever parameters that has."""
    return "ld+json" in (script.get("type") or "").casefold()


def simple(value: Any) -> Any:
    """Any JSON in the simple form, with the references inside it."""
    return _Simplifier(_definitions([value])).document(value)


def clean(text: str) -> str:
    """A text of JSON-LD as a reader sees it: entities and formatting gone."""
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if "<" in text:
        text = _TAGS.sub(" ", text)
    return whole(text)


def whole(text: str) -> str:
    """The text with U+FFFD for every half of a surrogate pair; whole pairs become their character."""
    if not _LONE_SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def local(name: str) -> str:
    """A name without schema.org's address or prefix: http://schema.org/name is name."""
    return _PREFIX.sub("", name.strip())


def kinds_of(types: Any) -> frozenset[str]:
    """The last words of a @type, or of several, in lower case."""
    kinds = types if isinstance(types, list) else [types]
    return frozenset(
        local(kind).rstrip("/").rsplit("/")[-1].rsplit("#")[-1].casefold() for kind in kinds if isinstance(kind, str)
    )


# -- JSON text -----------------------------------------------------------------------------------------------------


def load_json(text: str) -> Any:
    """The value of a JSON text, numbers as text. Raises ValueError, which says why there is none."""
    if len(text) > LONGEST:
        raise ValueError(f"it has more than {LONGEST:,} characters")
    text = _unwrapped(text)
    if '"' not in text and ("&quot;" in text or "&#34;" in text):
        text = html.unescape(text)
    if not text:
        raise ValueError("it is empty")
    try:
        found = _loaded(text)
        return _loaded(found) if isinstance(found, str) and found.lstrip()[:1] in ("{", "[") else found
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _loaded(text: str) -> Any:
    try:
        return _strict(text)
    except ValueError as error:
        reason = str(error)
    if text[:1] in "{[" and text[-1:] not in "}]":
        raise ValueError("it is cut off")
    import jstyleson

    try:
        return _strict(jstyleson.dispose(text))
    except (ValueError, IndexError):
        pass
    if len(text) > _LONGEST_REPAIR:
        raise ValueError(reason)
    from json_repair import repair_json

    # a number outside of texts as a text, so that the repair keeps its digits
    quoted = _NUMBER.sub(lambda match: match[0] if match[0][0] == '"' else f'"{match[0]}"', text)
    fixed = repair_json(quoted, skip_json_loads=True)
    if not isinstance(fixed, str) or fixed[:1] not in ("{", "["):
        raise ValueError(reason)
    return _strict(fixed)


def _strict(text: str) -> Any:
    return json.loads(text, strict=False, parse_float=_plain, parse_int=str, parse_constant=str)


def _plain(number: str) -> str:
    """A number without an exponent, where that is short: 1.2E3 is 1200."""
    if "e" not in number.lower():
        return number
    value = float(number)
    return f"{value:f}".rstrip("0").rstrip(".") if 1e-6 < abs(value) < 1e15 else number


def _unwrapped(text: str) -> str:
    text = text.strip()
    while match := _OPENING.match(text):
        text = text[match.end() :]
    before = None
    while text != before:
        before = text = text.strip()
        for mark in _CLOSING:
            if text.endswith(mark) and not (mark == "//" and text.endswith("://")):
                text = text.removesuffix(mark).rstrip()
    return text


# -- the simple form -----------------------------------------------------------------------------------------------


class _Simplifier:
    """Brings JSON into the simple form; one for all scripts of a page."""

    def __init__(self, definitions: Mapping[str, JsonObject]) -> None:
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
        inside = inside or not PRODUCTS.isdisjoint(kinds_of(value.get("@type", value.get("type"))))
        return {local(name): self._simple(one, path, inside=inside) for name, one in value.items()}

    def _referred(self, name: Any, open_ids: tuple[str, ...], *, inside: bool) -> Any:
        """What a reference refers to; its address where that is unknown, or open around it."""
        found = self._definitions.get(name) if isinstance(name, str) else None
        if found is None or name in open_ids or self._left <= 0:
            return clean(name) if isinstance(name, str) else None
        if inside and PRODUCTS.isdisjoint(kinds_of(found.get("@type"))):
            self._within_product.add(name)
        return self._simple(found, open_ids, inside=inside)

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


def _definitions(values: list[Any]) -> dict[str, JsonObject]:
    """Every object that has an @id and says more, by that @id; several of one @id are put together."""
    found: dict[str, JsonObject] = {}
    for one in _objects(values):
        name = one.get("@id")
        if isinstance(name, str) and name and not one.keys() <= _REFERENCE:
            known = found.setdefault(name, {})
            for key, inner in one.items():
                known.setdefault(key, inner)
    return found


def _objects(value: Any) -> Iterator[JsonObject]:
    """Every object in a JSON value, outer ones first; by a stack, since scripts may nest deeply."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            yield one
            stack.extend(reversed(list(one.values())))
        elif isinstance(one, list):
            stack.extend(reversed(one))
