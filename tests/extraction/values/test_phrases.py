"""Values read by the whole phrase: not the first number, and not the first known wording."""

from __future__ import annotations

import pytest

from recollect.extraction.values import find, normalise, occurs, read_schema

SCHEMA = read_schema()

CURRENCIES = {
    "US dollars": "USD",
    "pound sterling": "GBP",
    "Euros": "EUR",
    "EUROS": "EUR",
    "yen": "JPY",
    "rupees": "INR",
    "zl": "PLN",
    "zloty": "PLN",
    "yuan": "CNY",
    "RMB": "CNY",
    "人民币": "CNY",
    "Fr.": "CHF",
    "AU$": "AUD",
    "dollars": "USD",
    "euro": "EUR",
    "złoty": "PLN",
    "рублей": "RUB",
    "円": "JPY",
    "원": "KRW",
    "TL": "TRY",
    "kronor": "SEK",
    "A$": "AUD",
    "usd": "USD",
    "€": "EUR",
    "12,50 €": "EUR",
    "원~": "KRW",
    "zł": "PLN",
    "bananas": None,
    "Swiss francs": "CHF",
    "Schweizer Franken": "CHF",
    "CA$": "CAD",
    "US$": "USD",
    "SG$": "SGD",
    "Canadian dollars": "CAD",
    "dollars canadiens": "CAD",
    "Indian Rupees": "INR",
    "Japanese Yen": "JPY",
    "Chinese yuan": "CNY",
    "£5.99": "GBP",
    "5.99 USD": "USD",
    "EUR 5,99": "EUR",
    "1 299 kr": "SEK",
    "Price: 5.99 US dollars": "USD",
    "złotych": "PLN",
    "Kč": "CZK",
    "CHF": "CHF",
    "￥1200": "JPY",
    "￡5": "GBP",
    "AUD $12": "AUD",
    "Rs. 500": "INR",
    "British pounds": "GBP",
    "Pound": "GBP",
    "R$ 5": "BRL",
    "грн": "UAH",
    "Czech koruna": "CZK",
    "dolares": None,
    "dólares": "USD",
    "Mexican pesos": "MXN",
    "₽": "RUB",
    "EURO": "EUR",
    "eur/stück": "EUR",
    "$ 12.00": "USD",
    "the top all": None,
    "US Dollar ($)": "USD",
    "S$": "SGD",
    "C$": "CAD",
    "C$ 12": "CAD",
    "JP¥": "JPY",
    "roubles": "RUB",
    "won": "KRW",
    "新台幣": "TWD",
    "港幣": "HKD",
    "엔": "JPY",
}

PRICES = {
    "1’899.–": "1899",
    "2’450.00 CHF": "2450",
    "1’299.–": "1299",
    "10 x 5,99 €": "5.99",
    "3 for 2: 5,00 €": "5",
    "100g £5.99": "5.99",
    "from 5.99": "5.99",
    "was 9.99 now 5.99": "5.99",
    "1.299,00 €": "1299",
    "$1,299.95 now": "1299.95",
    "35€ 99": "35.99",
    "١٢٫٥٠": "12.5",
    "0.00": "0",
    "free returns": None,
    "1 . 299 00 €": "1299",
    "12,99 € UVP 19,99 €": "12.99",
    "UVP 19,99 € 12,99 €": "12.99",
    "statt 19,99 € nur 12,99 €": "12.99",
    "9,99 € statt 12,99 €": "9.99",
    "500 g 5,99 € (11,98 €/kg)": "5.99",
    "2 for £5": "5",
    "6 × 1,5 l 4,99 €": "4.99",
    "５９９円": "599",
    "１，２９９円": "1299",
    "12⁹⁹ €": "12.99",
    "$12 99": "12.99",
    "12 99 €": "12.99",
    "99,- Kč": "99",
    "1 499:-": "1499",
    "CHF 1'299.—": "1299",
    "1,23,456": "123456",
    "₹1,23,456.50": "123456.5",
    "5.99 x 10": "5.99",
    "iPhone 12 128 GB 599 €": "599",
    "RRP £9.99 £5.99": "5.99",
    "£5.99 (was £9.99)": "5.99",
    "€5.99 - €9.99": "5.99",
    "5.99": "5.99",
    "EUR5.99": "5.99",
    "5€": "5",
    "5,99€": "5.99",
    "1.299": "1299",
    "23.450": "23450",
    "Price 12.99 incl. 19% VAT": "12.99",
    "incl. 19% VAT 12.99 €": "12.99",
    "-20% 12,99 €": "12.99",
    "You save 3 € 12,99 €": "12.99",
    "12.99 + 3.90 shipping": "12.99",
    "2 450,00 CHF": "2450",
    "1.234.567": "1234567",
    "$.99": "0.99",
    "Pack of 10 5.99": "5.99",
    "4 990 руб.": "4990",
    "4990 р.": "4990",
    "原价 ¥199 现价 ¥99": "99",
    "12.50": "12.5",
    "ab 5,99 €": "5.99",
    "2 Stück 5,99 €": "5.99",
    "1000": "1000",
    "12.000 €": "12000",
    "1.299,-": "1299",
    "2.450.- CHF": "2450",
    "3er Pack 9,99 €": "9.99",
    "Now only $49!": "49",
    "Sale price$49.00 Regular price$59.00": "49",
    "Regular price$59.00 Sale price$49.00": "49",
    "10€ 20€": "10",
    "-4": "4",
    "1 299": "1299",
    "abc": None,
    "5": "5",
    "12.99 USD 14.99": "12.99",
    "3 for 10": "10",
    "(4) $12": "12",
    "4.5 stars $12.00": "12",
    "£1,299": "1299",
    "1'299": "1299",
    "1`299.50": "1299.5",
    "1,299.—": "1299",
    "Size 42: $99": "99",
    "iPhone 15 $99": "99",
    "Model 10 - $20.00": "20",
    "Set (3) €12,50": "12.5",
    "12€50": "12.5",
    "12 € 50": "12.5",
    "$1.299.99": "1299.99",
    "1.234.567,89": "1234567.89",
}

RATINGS = {
    "4,5 von 5": "4.5",
    "4.50": "4.5",
    "no reviews": None,
    "4/5": "4",
    "12 reviews: 4.5 stars": "4.5",
    "5つ星のうち4.5": "4.5",
    "Rated 4.5 out of 5": "4.5",
    "2 Bewertungen 4,5 von 5 Sternen": "4.5",
    "4.5 (12)": "4.5",
    "★ 4.5": "4.5",
    "-4": "-4",
    "90 %": "90",
}

AVAILABILITIES = {
    "Not in stock": "OutOfStock",
    "isn’t in stock": "OutOfStock",
    "0 in stock": "OutOfStock",
    "Auf Lager: nein": "OutOfStock",
    "Out-of-stock": "OutOfStock",
    "out_of_stock": "OutOfStock",
    "in_stock": "InStock",
    "品切れ": "OutOfStock",
    "no disponible": "OutOfStock",
    "non disponibile": "OutOfStock",
    "sold out": "OutOfStock",
    "nicht auf Lager": "OutOfStock",
    "http://schema.org/InStock": "InStock",
    "https://www.schema.org/SoldOut": "OutOfStock",
    "schema:InStock": "InStock",
    "//schema.org/OutOfStock": "OutOfStock",
    "Currently unavailable.": "OutOfStock",
    "Not available": "OutOfStock",
    "3 auf Lager": "InStock",
    "10 in stock": "InStock",
    "100 in stock": "InStock",
    "Only 3 left in stock": "InStock",
    "품절": "OutOfStock",
    "maybe": None,
    "No longer available": "OutOfStock",
    "not currently available": "OutOfStock",
    "Not yet in stock": "OutOfStock",
    "In stock: no": "OutOfStock",
    "In stock: yes": "InStock",
    "Auf Lager: ja": "InStock",
    "Ausverkauft: nein": "InStock",
    "not sold out": "InStock",
    "Stock: 0": "OutOfStock",
    "Stock: 12": "InStock",
    "Lagerbestand: 0": "OutOfStock",
    "In stock: 0": "OutOfStock",
    "In stock: 5": "InStock",
    "n'est pas disponible": "OutOfStock",
    "n’est plus en stock": "OutOfStock",
    "pas en stock": "OutOfStock",
    "No está disponible": "OutOfStock",
    "não disponível": "OutOfStock",
    "niet op voorraad": "OutOfStock",
    "nie ma w magazynie": "OutOfStock",
    "není skladem": "OutOfStock",
    "Skladem: ne": "OutOfStock",
    "ikke på lager": "OutOfStock",
    "inte i lager": "OutOfStock",
    "ei varastossa": "OutOfStock",
    "nincs raktáron": "OutOfStock",
    "nu este în stoc": "OutOfStock",
    "stokta yok": "OutOfStock",
    "stokta değil": "OutOfStock",
    "не в наличии": "OutOfStock",
    "нет в наличии": "OutOfStock",
    "немає в наявності": "OutOfStock",
    "غير متوفر": "OutOfStock",
    "متوفر": "InStock",
    "לא זמין במלאי": "OutOfStock",
    "没有现货": "OutOfStock",
    "有货": "InStock",
    "在庫なし": "OutOfStock",
    "在庫あり": "InStock",
    "재고 없음": "OutOfStock",
    "không có sẵn": "OutOfStock",
    "tidak tersedia": "OutOfStock",
    "ไม่มีสินค้า": "OutOfStock",
    "Available for pre-order": "PreOrder",
    "Back in stock soon": "OutOfStock",
    "Notify me when available": "OutOfStock",
    "IN STOCK": "InStock",
    "outofstock": "OutOfStock",
    "InStock": "InStock",
    "BackOrder": "PreOrder",
    "on backorder": "PreOrder",
    "MadeToOrder": "PreOrder",
    "LimitedAvailability": "InStock",
    "limited_availability": "InStock",
    "nicht mehr lieferbar": "OutOfStock",
    "derzeit nicht auf Lager": "OutOfStock",
    "Sofort lieferbar": "InStock",
    "No, sold out": "OutOfStock",
    "Yes, in stock": "InStock",
    "in-stock": "InStock",
    "nicht ausverkauft": "InStock",
    "cannot add to cart": "OutOfStock",
    "Art. no. 12 in stock": "InStock",
    "0 reviews, in stock": "InStock",
    "non è disponibile": "OutOfStock",
    "disponible: non": "OutOfStock",
    "Disponible : oui": "InStock",
    "No hay stock": "OutOfStock",
    "sin stock": "OutOfStock",
    "10 in stock, 0 reserved": "InStock",
    "we do not currently have this in stock": "OutOfStock",
    "We don’t have it in stock": "OutOfStock",
    "0 pcs in stock": "OutOfStock",
    "available: 0-3 days": "InStock",
    "Nothing in stock": "OutOfStock",
    "No stock available": "OutOfStock",
    "No items left in stock": "OutOfStock",
    "kein Lagerbestand": "OutOfStock",
    "geen voorraad": "OutOfStock",
    "no hay existencias": "OutOfStock",
    "无库存": "OutOfStock",
    "暂无库存": "OutOfStock",
    "無庫存": "OutOfStock",
    "库存不足": "OutOfStock",
    "在庫がございません": "OutOfStock",
    "在庫はございません": "OutOfStock",
    "לא במלאי": "OutOfStock",
    "En rupture": "OutOfStock",
    "Availability: no": "OutOfStock",
    "Verfügbarkeit: nein": "OutOfStock",
    "Availability: In stock": "InStock",
    "Verfügbarkeit: Auf Lager": "InStock",
    "stock: yes": "InStock",
    "Stock? no": "OutOfStock",
    "0 left": "OutOfStock",
    "Only 3 left": "InStock",
    "10 left": None,
    "Stock": None,
    "Verfügbarkeit": None,
}


@pytest.mark.parametrize(("raw", "expected"), list(CURRENCIES.items()))
def test_a_currency_by_sign_code_or_name(raw: str, expected: str | None) -> None:
    assert normalise(SCHEMA.attribute("currency"), raw) == expected


@pytest.mark.parametrize(("raw", "expected"), list(PRICES.items()))
def test_the_price_that_a_phrase_asks(raw: str, expected: str | None) -> None:
    assert normalise(SCHEMA.attribute("price"), raw) == expected


@pytest.mark.parametrize(("raw", "expected"), list(RATINGS.items()))
def test_the_rating_of_a_phrase(raw: str, expected: str | None) -> None:
    assert normalise(SCHEMA.attribute("rating"), raw) == expected


@pytest.mark.parametrize(("raw", "expected"), list(AVAILABILITIES.items()))
def test_an_availability_with_its_negations(raw: str, expected: str | None) -> None:
    assert normalise(SCHEMA.attribute("availability"), raw) == expected


@pytest.mark.parametrize(
    "text",
    ["0 in stock", "Auf Lager: nein", "This item isn't in stock", "not currently available", "在庫なし", "stokta yok"],
)
def test_a_negated_wording_in_a_text_is_the_other_value(text: str) -> None:
    availability = SCHEMA.attribute("availability")
    page = f"Blue Mug\n{text}\n18,50 €"
    assert occurs(availability, "OutOfStock", page) and not occurs(availability, "InStock", page)
    span = find(availability, "OutOfStock", page)
    assert span is not None and page[slice(*span)].strip() in text


@pytest.mark.parametrize(
    "text",
    [
        "10 in stock",
        "Item no. 10: in stock",
        "0 reviews | in stock",
        "No. In stock",
        "No\nInventory\nin stock",
        "Cart 0\nleft column | in stock",
    ],
)
def test_a_number_or_word_that_negates_nothing_leaves_a_wording_as_it_is(text: str) -> None:
    assert occurs(SCHEMA.attribute("availability"), "InStock", text)
    assert not occurs(SCHEMA.attribute("availability"), "OutOfStock", text)


@pytest.mark.parametrize(
    "raw", ["N/A", "n/a", "-", "—", "null", "None", "undefined", "NaN", "{{ price }}", "$brand", "[object Object]"]
)
def test_placeholders_are_no_values(raw: str) -> None:
    assert all(normalise(attribute, raw) is None for attribute in SCHEMA)


@pytest.mark.parametrize("raw", ["0000000000000", "00000000", "000000000000", "4006381333932", "123"])
def test_zeros_and_wrong_check_digits_are_no_gtin(raw: str) -> None:
    assert normalise(SCHEMA.attribute("gtin"), raw) is None


@pytest.mark.parametrize("text", ["1’899.–", "1'899.00", "1 899,00 CHF", "１，８９９円", "١٬٨٩٩", "1.899 00 €"])
def test_an_amount_occurs_in_every_way_to_write_it(text: str) -> None:
    assert occurs(SCHEMA.attribute("price"), "1899", f"Price: {text}")
