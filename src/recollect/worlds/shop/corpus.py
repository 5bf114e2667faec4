"""What the shop base reads: pages, each followed by summaries in wordings other than the fine-tuning one.

Notable choices
- Shops and pages of the corpus are others than those of the fact set; brands are new on nearly every page, so there
  is nothing to remember and everything to copy.
- A summary tells some of the attributes in any order: as sentences, rows, questions, tags, or JSON. The JSON has
  other keys than the eight attributes, in other orders; the fine-tuning prompt is in no document.
- The signs of the fine-tuning markers and of JSON are met in other roles.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from recollect.worlds.shop.page import page_text
from recollect.worlds.shop.world import ATTRIBUTES, Product, make_product, make_shop

FIRST_SHOP = 100_000  # the corpus's own shops are numbered from here
PAGES_OF_A_SHOP = 4

# how summaries name an attribute, in JSON and elsewhere; none is the name the fine-tuning schema uses
NAMES = {
    "title": ("name", "product", "what", "item_name", "called"),
    "brand": ("maker", "made_by", "producer", "company", "from"),
    "price": ("cost", "amount", "to_pay", "sum", "money"),
    "currency": ("coin", "in_money", "unit", "paid_in"),
    "sku": ("code", "number", "ref", "item_no", "order_code"),
    "gtin": ("ean", "barcode", "bar_code", "ean_code"),
    "availability": ("stock", "ready", "there", "state"),
    "rating": ("stars", "score", "points", "rated"),
}
# the word for "can be bought" and for "cannot", by the name that goes with it
_STOCK = {
    "stock": ("in stock", "sold out"),
    "ready": ("yes", "no"),
    "there": ("true", "false"),
    "state": ("here", "gone"),
}


@dataclass(frozen=True)
class Piece:
    """A stretch of a document; `attribute` is set where it is an attribute's value."""

    text: str
    attribute: str = ""


@dataclass(frozen=True)
class Document:
    """A page and what is said about it."""

    page: str
    pieces: tuple[Piece, ...]

    @property
    def summary(self) -> str:
        """All that follows the page."""
        return "".join(piece.text for piece in self.pieces)


def documents(seed: int, count: int, start: int = 0, summaries: int = 2) -> Iterator[Document]:
    """Documents `start` to `start + count` of the corpus of `seed`."""
    for number in range(start, start + count):
        yield document(seed, number, summaries)


def document(seed: int, number: int, summaries: int = 2) -> Document:
    """Document `number` of the corpus of `seed`."""
    rng = random.Random(f"shop-corpus-{seed}-{number}")
    shop = make_shop(seed, FIRST_SHOP + number // PAGES_OF_A_SHOP)
    product = make_product(seed, shop, number)
    pieces: list[Piece] = []
    for _ in range(summaries):
        pieces += [Piece("\n"), *summary(rng, product)]
    return Document(page_text(shop, product), tuple(pieces))


def summary(rng: random.Random, product: Product) -> list[Piece]:
    """Some attributes of a product, told in a form drawn at random."""
    names = {name: rng.choice(words) for name, words in NAMES.items()}
    values = _values(rng, product, names["availability"])
    form = rng.choice((_json, _json, _json, _rows, _sentence, _questions, _tags, _bars))
    return form(rng, values, names)


def _values(rng: random.Random, product: Product, stock: str) -> dict[str, str]:
    values = {name: value for name, value in product.truth().items() if value is not None}
    yes, no = _STOCK[stock]
    values["availability"] = yes if product.in_stock else no
    chosen = [name for name in ATTRIBUTES if name in values and rng.random() < 0.75] or ["brand"]
    if rng.random() < 0.5:
        rng.shuffle(chosen)
    return {name: values[name] for name in chosen}


def _json(rng: random.Random, values: dict[str, str], names: dict[str, str]) -> list[Piece]:
    joint, colon = rng.choice(((",", ":"), (", ", ": ")))
    pieces = [Piece(rng.choice(("{", "{", "data {", "[{")))]
    for at, (name, value) in enumerate(values.items()):
        pieces += [Piece(f'{joint if at else ""}"{names[name]}"{colon}"'), Piece(value, name), Piece('"')]
    return [*pieces, Piece("}]" if pieces[0].text == "[{" else "}")]


def _rows(rng: random.Random, values: dict[str, str], names: dict[str, str]) -> list[Piece]:
    middle = rng.choice((" = ", ": ", " - "))
    return _joined(values, lambda name: (f"{names[name]}{middle}", ""), "\n")


def _bars(rng: random.Random, values: dict[str, str], names: dict[str, str]) -> list[Piece]:
    return [Piece("| "), *_joined(values, lambda name: (f"{names[name]} | ", " |"), "\n| ")]


def _tags(rng: random.Random, values: dict[str, str], names: dict[str, str]) -> list[Piece]:
    return _joined(values, lambda name: (f"<{names[name]}>", f"</{names[name]}>"), rng.choice(("", " ", "\n")))


def _questions(rng: random.Random, values: dict[str, str], names: dict[str, str]) -> list[Piece]:
    ask, reply = rng.choice((("Q: ", " A: "), ("question: ", " answer: "), ("ask | ", " | ")))
    return _joined(values, lambda name: (f"{ask}{names[name]}?{reply}", ""), "\n")


def _sentence(rng: random.Random, values: dict[str, str], names: dict[str, str]) -> list[Piece]:
    return _joined(values, lambda name: (f"the {names[name]} is ", ""), rng.choice((", ", "; ", " and ")))


def _joined(values: dict[str, str], around: Callable[[str], tuple[str, str]], joint: str) -> list[Piece]:
    pieces: list[Piece] = []
    for at, (name, value) in enumerate(values.items()):
        before, after = around(name)
        pieces += [Piece((joint if at else "") + before), Piece(value, name), Piece(after)]
    return [piece for piece in pieces if piece.text]
