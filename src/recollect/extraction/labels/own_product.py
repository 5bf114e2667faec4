"""Which of the products in a page's structured data is the page's own.

Notable choices
- Evidence, by weight: the page's own address; being declared what the page is about; the name in the main heading,
  og:title or title. Products inside others (related, accessories) and in lists are not looked at.
- Several entries of one product (the same number, address or name; JSON-LD beside microdata) are put together.
- The variants of a group are kept apart: which of them the page shows is decided value by value.
- Without any evidence for one of several products, or against the only one, there is none: a wrong label is worse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from recollect.extraction.html import Item, PageData
from recollect.extraction.values import plain_text

_OFFERS = frozenset(("offer", "aggregateoffer"))
_ABOUT = ("mainentity", "mainentityofpage", "about")
_NUMBERS = ("sku", "productid", "gtin", "gtin13", "gtin14", "gtin12", "gtin8", "isbn", "mpn")
_BY_ADDRESS, _BY_DECLARATION = 4, 3
_BY_NAME = (0, 1, 2, 3)  # nothing in common, half the words, one in the other, the same
_DEEPEST = 5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Variant:
    """One thing that can be bought: its entries, the most telling first."""

    entries: tuple[Item, ...]

    def texts(self, *path: str) -> Iterator[str]:
        """The texts at a path of properties, entry by entry."""
        for entry in self.entries:
            yield from _texts(entry, path)


@dataclass(frozen=True)
class OwnProduct:
    """The page's own product: what all its variants share, and the variants (one, where it has none)."""

    shared: Variant
    variants: tuple[Variant, ...]


class NoProduct(Exception):
    """The page's data holds no product that is certainly its own; the text says why."""


def own_product(data: PageData) -> OwnProduct:
    """The product of the page. Raises NoProduct."""
    found = list(_candidates(data.items))
    if not found:
        raise NoProduct(data.lost[0] if data.lost else "the page has no schema.org product")
    evidence = [_evidence(item, declared, data) for item, declared in found]
    items = [item for item, _ in found]
    best = max(evidence)
    first = items[evidence.index(best)]
    same = [item for item in items if _same(item, first)]
    rivals = [item for item, weight in zip(items, evidence, strict=True) if weight == best and item not in same]
    if best == 0 and (rivals or (_is_named(first) and _names_apart(first, data))):
        raise NoProduct(_unsure(items))
    if rivals and not _all_variants([first, *rivals], data):
        raise NoProduct(_unsure(items))
    ordered = sorted(same, key=lambda item: (item is not first, item.syntax != first.syntax))
    if rivals:  # entries of their own share nothing for certain
        return OwnProduct(Variant(()), tuple(Variant((item,)) for item in (first, *rivals)))
    return OwnProduct(Variant(tuple(ordered)), tuple(_variants(ordered)))


def _candidates(items: Sequence[Item]) -> Iterator[tuple[Item, bool]]:
    """Every product that may be the page's own, and whether it is declared as what the page is about."""
    for item in items:
        yield from _inside(item, False, 0)


def _inside(item: Item, declared: bool, depth: int) -> Iterator[tuple[Item, bool]]:
    if item.is_product:
        yield item, declared
    elif item.types & _OFFERS:
        for offered in item.items("itemOffered"):
            if offered.is_product:
                yield Item(offered.types, {**offered.properties, "offers": (item,)}, item.syntax), declared
    elif depth < _DEEPEST:
        for name in _ABOUT:
            for inner in item.items(name):
                yield from _inside(inner, name == "mainentity", depth + 1)


def _evidence(item: Item, declared: bool, data: PageData) -> int:
    weight = _BY_DECLARATION if declared else 0
    if data.address and any(_one_place(address, data.address) for address in _addresses(item)):
        weight += _BY_ADDRESS
    return (
        weight + _BY_NAME[max((_likeness(name, own) for name in item.texts("name") for own in data.names), default=0)]
    )


def _addresses(item: Item) -> list[str]:
    offered = [text for offer in item.items("offers") for text in offer.texts("url")]
    about = [one.identity for one in item.items("mainEntityOfPage")]
    return [*item.texts("url"), item.identity, *item.texts("mainEntityOfPage"), *about, *offered]


def _one_place(address: str, own: str) -> bool:
    """Whether two addresses are one page: host and path, without regard to the scheme, "www." and a last slash."""
    try:
        a, b = urlsplit(address.strip()), urlsplit(own.strip())
    except ValueError:
        return False
    hosts = [(part.hostname or "").removeprefix("www.") for part in (a, b)]
    paths = [part.path.rstrip("/").casefold() for part in (a, b)]
    return bool(paths[0]) and paths[0] == paths[1] and (hosts[0] == hosts[1] or not hosts[0] or not hosts[1])


def _likeness(name: str, own: str) -> int:
    """0 to 3: how alike a product's name and a heading are."""
    a, b = (_WORD.findall(plain_text(text)) for text in (name, own))
    if not a or not b:
        return 0
    if a == b:
        return 3
    if _holds(a, b) or _holds(b, a):
        return 2
    return int(2 * len(set(a) & set(b)) >= min(len(set(a)), len(set(b))) + 1)


def _holds(long: Sequence[str], short: Sequence[str]) -> bool:
    return f" {' '.join(short)} " in f" {' '.join(long)} "


def _same(a: Item, b: Item) -> bool:
    """Whether two entries are of one product: their numbers decide, then address and name."""
    if a is b or (a.identity and a.identity == b.identity):
        return True
    for name in _NUMBERS:
        ours, theirs = (frozenset(map(plain_text, item.texts(name))) for item in (a, b))
        if ours and theirs:
            return not ours.isdisjoint(theirs)
    names = [frozenset(" ".join(_WORD.findall(plain_text(text))) for text in item.texts("name")) for item in (a, b)]
    if names[0] and names[1]:
        return not names[0].isdisjoint(names[1])
    return not set(a.texts("url")).isdisjoint(b.texts("url"))


def _is_named(item: Item) -> bool:
    return bool(item.texts("name"))


def _names_apart(item: Item, data: PageData) -> bool:
    """Whether the product's name shares no word with any heading, though the page has some."""
    words = {word for name in item.texts("name") for word in _WORD.findall(plain_text(name))}
    own = {word for name in data.names for word in _WORD.findall(plain_text(name))}
    return bool(words and own) and words.isdisjoint(own)


def _all_variants(items: Sequence[Item], data: PageData) -> bool:
    """Whether products of equal evidence are variants: all names begin with what the page calls its product.

    A single word may be a kind of product as well.
    """
    names = [plain_text(next(iter(item.texts("name")), "")) for item in items]
    owns = [plain_text(own) for own in data.names if len(_WORD.findall(own)) > 1]
    return any(all(f"{name} ".startswith(f"{own} ") for name in names) for own in owns)


def _variants(entries: Sequence[Item]) -> list[Variant]:
    """The variants of a group, each with what the group says behind it; the product itself where there is none."""
    found = [
        Variant((variant, *entries))
        for entry in entries
        for variant in entry.items("hasVariant")
        if variant.properties.keys() & {"offers", "sku", "name", "gtin13", "gtin"}
    ]
    return found or [Variant(tuple(entries))]


def _unsure(items: Sequence[Item]) -> str:
    names = list(dict.fromkeys(text for item in items for text in item.texts("name")[:1]))
    shown = ", ".join(f"{name:.40}" for name in names[:3]) + (", …" if len(names) > 3 else "")
    if len(names) > 1:
        return "several products in the page's data, and none is certainly the page's own" + f" ({shown})" * bool(shown)
    return "the product in the page's data is not named like the page" + f" ({shown})" * bool(shown)


def _texts(item: Item, path: Sequence[str]) -> Iterator[str]:
    if len(path) == 1:
        yield from item.texts(path[0])
    else:
        for inner in item.items(path[0]):
            yield from _texts(inner, path[1:])
