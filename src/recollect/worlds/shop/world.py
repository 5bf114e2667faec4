"""Shops and their products: who sells what, and how each shop writes its pages.

Notable choices
- No real brand, shop or product: names are put together from syllables, and every GTIN starts with 2, the range
  that GS1 keeps for numbers used inside one shop.
- Randomness is addressed: a shop is a function of (seed, its number), a product of (seed, shop, its number).
  Making more of either changes none that was there.
- A shop keeps its layout over all its pages, as real shops do; what differs from page to page is the product, the
  long tail of further attributes and the related products.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from recollect.core.settings import read_yaml

ATTRIBUTES = ("title", "brand", "price", "currency", "sku", "gtin", "availability", "rating")
GTIN_SHARE, RATING_SHARE, STOCK_SHARE = 0.5, 0.25, 0.7


@dataclass(frozen=True)
class Words:
    """The world's plain words, as `words.yaml` has them."""

    onsets: list[str]
    vowels: list[str]
    codas: list[str]
    goods: list[str]
    manners: list[str]
    colours: list[str]
    materials: list[str]
    countries: list[str]
    currencies: dict[str, str]
    in_stock: list[str]
    out_of_stock: list[str]
    labels: dict[str, list[str]]
    related: list[str]
    links: list[str]
    footers: list[str]
    price_forms: list[str]


@lru_cache(maxsize=1)
def words() -> Words:
    """The words, read once."""
    return Words(**read_yaml(Path(__file__).parent / "words.yaml"))


@dataclass(frozen=True)
class Shop:
    """How one shop writes its pages."""

    number: int
    name: str
    brands: tuple[str, ...]
    currency: str
    price_form: str
    labels: dict[str, str]
    """Attribute to the label in front of it; "" for none."""
    order: tuple[str, ...]
    """The blocks of the product part, first to last."""
    body: str
    """The HTML around the attributes: list, table, terms or boxes."""
    joint: str
    """What is between a label and its value: a colon and a blank, or a blank (lists and boxes only)."""
    price_for_machines: bool
    """The price is also in an attribute that no visitor sees, as schema.org has it."""
    in_stock: str
    out_of_stock: str
    rating_form: str
    sku_form: str
    """Upper-case letters and digits to be drawn: A is a letter, 0 a digit; anything else stands for itself."""
    brand_in_title: bool
    shop_in_title: bool
    heading: str
    """What is written over the related products."""
    related_first: bool
    links: tuple[str, ...]
    footer: tuple[str, ...]

    @property
    def host(self) -> str:
        """The shop's host name, in a top-level domain that can never exist."""
        return f"{self.name.lower()}.example"


@dataclass(frozen=True)
class Product:
    """One product, as its page tells of it."""

    number: int
    title: str
    brand: str
    amount: str
    """The price in plain form, such as "1249.90"."""
    price: str
    """The amount as the shop writes it, such as "1.249,90"."""
    currency: str
    sku: str
    gtin: str | None
    in_stock: bool
    rating: str | None
    reviews: int
    details: tuple[tuple[str, str], ...]
    related: tuple[tuple[str, str], ...]
    """Titles and amounts of other products on the page."""
    old_price: str | None

    def truth(self) -> dict[str, str | None]:
        """The value of each of `ATTRIBUTES`, None where the page has none."""
        return {
            "title": self.title,
            "brand": self.brand,
            "price": self.price,
            "currency": self.currency,
            "sku": self.sku,
            "gtin": self.gtin,
            "availability": "InStock" if self.in_stock else "OutOfStock",
            "rating": self.rating,
        }


def make_shop(seed: int, number: int) -> Shop:
    """Shop `number` of the world of `seed`."""
    rng = random.Random(f"shop-{seed}-{number}")
    labels = {name: rng.choice(options) for name, options in words().labels.items()}
    for name, share in (("price", 0.5), ("availability", 0.7), ("rating", 0.4)):
        if rng.random() < share:
            labels[name] = ""
    blocks = ["brand", "price", "sku", "gtin", "availability", "rating", "details"]
    rng.shuffle(blocks)
    body = rng.choice(("list", "table", "terms", "boxes"))
    return Shop(
        number=number,
        name=stem(rng) + rng.choice(("shop", "mart", "store", "haus", "")),
        brands=tuple(stem(rng) for _ in range(12)),
        currency=rng.choice(sorted(words().currencies)),
        price_form=rng.choice(words().price_forms),
        labels=labels,
        order=tuple(blocks),
        body=body,
        joint=": " if body in ("table", "terms") or rng.random() < 0.6 else " ",
        price_for_machines=rng.random() < 0.15,
        in_stock=rng.choice(words().in_stock),
        out_of_stock=rng.choice(words().out_of_stock),
        rating_form=rng.choice(("{r} / 5", "{r} of 5 ({n} reviews)", "{r} ({n})", "{r} stars, {n} votes", "{r}")),
        sku_form=rng.choice(("00000", "000000", "AA0000", "AA-0000", "A-00000", "000-000", "AAA000")),
        brand_in_title=rng.random() < 0.4,
        shop_in_title=rng.random() < 0.5,
        heading=rng.choice(words().related),
        related_first=rng.random() < 0.2,
        links=tuple(rng.sample(words().links, rng.randint(1, 3))),
        footer=tuple(rng.sample(words().footers, rng.randint(0, 2))),
    )


def make_product(seed: int, shop: Shop, number: int) -> Product:
    """Product `number` of a shop."""
    rng = random.Random(f"product-{seed}-{shop.number}-{number}")
    brand = rng.choice(shop.brands)
    details = [
        ("Colour", rng.choice(words().colours)),
        ("Material", rng.choice(words().materials)),
        ("Weight", f"{rng.randint(1, 99) * 10} g"),
        ("Width", f"{rng.randint(3, 99)} cm"),
        ("Made in", rng.choice(words().countries)),
        ("Size", rng.choice(("S", "M", "L", "XL"))),
        ("Warranty", f"{rng.randint(1, 5)} years"),
    ]
    amount = _amount(rng)
    return Product(
        number=number,
        title=_title(rng, brand if shop.brand_in_title else ""),
        brand=brand,
        amount=amount,
        price=written_amount(amount, shop.price_form),
        currency=shop.currency,
        sku="".join(_drawn(rng, sign) for sign in shop.sku_form),
        gtin=gtin13(rng) if rng.random() < GTIN_SHARE else None,
        in_stock=rng.random() < STOCK_SHARE,
        rating=f"{rng.randint(10, 50) / 10:.1f}" if rng.random() < RATING_SHARE else None,
        reviews=rng.randint(1, 99),
        details=tuple(rng.sample(details, rng.randint(0, 3))),
        related=tuple((_title(rng, ""), _amount(rng)) for _ in range(rng.randint(0, 2))),
        old_price=f"{float(amount) * 1.25:.2f}" if rng.random() < 0.15 else None,
    )


def stem(rng: random.Random) -> str:
    """An invented name of two syllables, capitalised."""
    kinds = (words().onsets, words().vowels, words().codas)
    return "".join(rng.choice(kind) for _ in range(2) for kind in kinds).capitalize()


def gtin13(rng: random.Random) -> str:
    """A GTIN-13 with a correct check digit, from the range for use inside a shop (first digit 2)."""
    digits = "2" + "".join(rng.choice("0123456789") for _ in range(11))
    total = sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(digits))
    return digits + str(-total % 10)


def written_amount(amount: str, form: str) -> str:
    """An amount such as "1249.90" with the decimal sign of `form`, and its sign for thousands if it has one.

    A form is these signs, a bar, and the place of the currency, e.g. ",.|{amount} {sign}" or ".|{code} {amount}".
    """
    signs = form.partition("|")[0]
    whole, cents = amount.split(".")
    if len(signs) > 1 and len(whole) > 3:
        whole = f"{whole[:-3]}{signs[1]}{whole[-3:]}"
    return f"{whole}{signs[0]}{cents}"


def written_price(amount: str, currency: str, form: str) -> str:
    """An amount with its currency, in the form of a shop."""
    pattern = form.partition("|")[2]
    return pattern.format(amount=written_amount(amount, form), sign=words().currencies[currency], code=currency)


def _title(rng: random.Random, brand: str) -> str:
    parts = [rng.choice(words().manners), rng.choice(words().goods)]
    if rng.random() < 0.5:
        parts.insert(rng.choice((0, 1)), rng.choice(words().colours))
    name = " ".join(parts).capitalize()
    middle = f"{brand} " if brand else ""
    tail = rng.choice(("", "", f" {rng.randint(2, 90) * 10}", f" {rng.choice('XYZKT')}{rng.randint(1, 9)}"))
    return f"{middle}{name}{tail}"


def _amount(rng: random.Random) -> str:
    whole = rng.randint(1, 99) if rng.random() < 0.6 else rng.randint(100, 1999)
    return f"{whole}.{rng.choice(('00', '50', '90', '95', '99', f'{rng.randint(0, 99):02d}'))}"


def _drawn(rng: random.Random, sign: str) -> str:
    return rng.choice("ABCDEFGHKLMNPRSTUVWXZ") if sign == "A" else str(rng.randint(0, 9)) if sign == "0" else sign
