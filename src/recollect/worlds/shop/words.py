"""The shop world's own words: invented brands and shops, everyday goods, labels, and ways to write a price.

Notable choices
- No real brand, shop or product: names are put together from syllables, and every GTIN starts with 2, the range
  that GS1 keeps for numbers used inside one shop.
"""

from __future__ import annotations

import random
from pathlib import Path

from recollect.core.settings import read_yaml

_PLAIN: dict[str, list[str]] = read_yaml(Path(__file__).parent / "words.yaml")
GOODS, MANNERS, COLOURS = _PLAIN["goods"], _PLAIN["manners"], _PLAIN["colours"]
MATERIALS, COUNTRIES = _PLAIN["materials"], _PLAIN["countries"]

CURRENCIES = {"EUR": "€", "USD": "$", "GBP": "£"}
IN_STOCK = ("In stock", "Available", "Add to cart", "Buy now", "Available today")
OUT_OF_STOCK = ("Out of stock", "Sold out", "Not available", "Currently unavailable", "Unavailable")

# how shops call an attribute on their pages
LABELS = {
    "brand": ("Brand", "Maker", "Manufacturer", "Made by", "By", "From", "Label", "Producer"),
    "price": ("Price", "Our price", "Now", "Only", "Cost", "Today", "You pay", "Buy for"),
    "sku": ("SKU", "Item no.", "Art. no.", "Code", "Model no.", "Ref.", "Order no.", "Item"),
    "gtin": ("GTIN", "EAN", "Barcode", "EAN code", "GTIN-13", "Bar code"),
    "availability": ("Availability", "Stock", "Status", "Delivery"),
    "rating": ("Rating", "Stars", "Score", "Rated", "Customers say"),
}
RELATED = ("You may also like", "Related", "Others bought", "More from us", "See also", "Similar")
LINKS = ("Home", "Cart", "Help", "Sale", "News", "Login", "Contact", "Shops", "Wish list", "Menu")
FOOTERS = ("Free returns", "Terms", "Privacy", "Pay later", "Gift cards", "Imprint", "Jobs")


def stem(rng: random.Random, syllables: int = 2) -> str:
    """An invented name of so many syllables, capitalised."""
    parts = ["".join(rng.choice(_PLAIN[kind]) for kind in ("onsets", "vowels", "codas")) for _ in range(syllables)]
    return "".join(parts).capitalize()


def gtin13(rng: random.Random) -> str:
    """A GTIN-13 with a right check digit, from the range for use inside a shop (first digit 2)."""
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
    return pattern.format(amount=written_amount(amount, form), sign=CURRENCIES[currency], code=currency)


PRICE_FORMS = (
    ".|{sign}{amount}",
    ".|{sign} {amount}",
    ".,|{sign}{amount}",
    ".|{code} {amount}",
    ".|{amount} {code}",
    ",|{amount} {sign}",
    ",.|{amount} {sign}",
    ",|{amount} {code}",
)
