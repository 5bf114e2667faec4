"""The words by which product data is known in names of attributes, classes and keys, and in visible text.

All are ours, found by reading shops' pages in several languages, and none is taken from a published list. Each is a
plain pattern without nested repeats, so that no text makes it slow.
"""

from __future__ import annotations

import re

# names of attributes, meta elements, hidden inputs and JSON keys that carry product data
DATA_NAME = re.compile(
    r"price|amount|currency|brand|manufacturer|maker|sku|mpn|gtin|ean(?![a-z])|upc|isbn|asin|avail|stock|rating|"
    r"product.?(?:id|name|code|number|title)|item.?(?:id|name|code|number|title|no)|article.?(?:id|no|number)|"
    r"part.?number|model|condition|variant.?id",
    re.IGNORECASE,
)
# meta elements kept besides those
META_NAME = re.compile(r"^(?:description|(?:og|twitter|dc|product):(?:title|description)|title|name|keywords)$", re.I)
META_NEVER = re.compile(
    r"^(?:viewport|theme-color|robots|generator|format-detection|msapplication|apple|google|fb:)", re.I
)

# class and id names of the region that describes the product, and of regions that do not
GOOD_REGION = re.compile(
    r"price|brand|sku|buy|cart|basket|stock|avail|product.?(?:info|detail|main|title|name|summary|essential|header|view|"
    r"page|spec|attr|overview|meta|data)|pdp|spec(?:s|ific)|attribut|detail|offer|purchase|buybox|add.?to|manufacturer|"
    r"model|feature|identifier|article",
    re.IGNORECASE,
)
BAD_REGION = re.compile(
    r"related|recommend|similar|upsell|cross.?sell|also.?(?:bought|viewed|like)|recently|carousel|slider|footer|"
    r"mega.?menu|navbar|\bnav\b|navigation|main.?menu|menu|sidebar|breadcrumb|cookie|consent|newsletter|subscribe|"
    r"modal|popup|overlay|social|share|review|comment|question|faq|login|sign.?in|register|wishlist|minicart|mini.?cart|"
    r"banner|advert|sponsor|blog|store.?locator|country|language|accordion.?nav|payment|shipping|delivery|search",
    re.IGNORECASE,
)
BAD_TAGS = frozenset({"nav", "footer", "aside"})

# visible text
LABEL = re.compile(
    r"\b(?:sku|mpn|gtin|ean|upc|isbn|asin|plu|brand|manufacturer|marque|fabricant|marke|hersteller|marca|fabricante|"
    r"produttore|merk|fabrikant|značka|výrobce|výrobca|producent|producător|gyártó|märke|mærke|merke|zīmols|ražotājs|"
    r"proizvajalec|proizvođač|бренд|производитель|marka|üretici|model(?:l|lo|e|ul|o|is)?|modèle|модель|"
    r"(?:item|article|product|part|catalog(?:ue)?|style|model|mfr|mfg|manufacturer)[ .]*"
    r"(?:no|nr|num|number|code|id|part|#)|"
    r"artikelnummer|artikel-?(?:nr|id)|art\.? ?-?(?:nr|no)|bestell-?n(?:r|ummer)|r[ée]f(?:[ée]rence|erencia)?|"
    r"c[óo]d(?:igo|ice|ul|\.)|kód|код|артикул|cikkszám|numer|indeks|šifra|produktnummer|varenummer|tuotenumero|"
    r"varenr|kat\. ?č|stock code|reference)\b",
    re.IGNORECASE,
)
_CURRENCY = (
    r"(?:[$€£¥₹₽₺₴₸₩฿₫₪]|R\$|US\$|\b(?:EUR|USD|GBP|CHF|PLN|CZK|SEK|NOK|DKK|HUF|RON|BGN|TRY|RUB|UAH|KZT|INR|JPY|CNY|AUD|"
    r"CAD|NZD|BRL|MXN|ZAR|AED|SAR|SGD|HKD|zł|kč|kr|lei|ft|руб|грн|тг|лв|din|kn|Rs|TL)\b\.?)"
)
PRICE = re.compile(rf"{_CURRENCY}\s?\d|\d\s?(?:,-)?\s?{_CURRENCY}|\d,-", re.IGNORECASE)
