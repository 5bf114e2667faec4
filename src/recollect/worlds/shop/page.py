"""A product's page: as blocks, as HTML, as the lines a model reads, and as a fact: what `--facts pocket-shop` loads.

Notable choices
- A page example is a fact: relation = the shop's host, subject = the page, question = the page's prompt, object = its
  non-empty attributes as compact JSON, in the order of the schema.
- Known shops give training pages and other pages for testing; new shops are met at test time only ("ood").
- `page_text` is what `recollect.extraction.html.page_prompt` makes of `page_html`, written directly since a corpus
  needs hundreds of thousands of pages; a test holds the two equal.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from recollect.extraction.values import compact_json
from recollect.facts import Fact, FactSet
from recollect.worlds.shop.world import Product, Shop, make_product, make_shop, written_price

KNOWN_SHOPS, NEW_SHOPS = 40, 20
TRAIN_PAGES, TEST_PAGES, NEW_PAGES = 30, 6, 12
Kind = Literal["title", "links", "heading", "row", "text", "price", "section", "related", "footer"]


@dataclass(frozen=True)
class Block:
    """One line of a page; `label` is empty where the shop writes none. `price` is a price only machines see."""

    kind: Kind
    text: str
    label: str = ""


def page_blocks(shop: Shop, product: Product) -> list[Block]:
    """The page from top to bottom."""
    title = f"{product.title} - {shop.name}" if shop.shop_in_title else product.title
    related = [
        Block("related", f"{name} {written_price(amount, shop.currency, shop.price_form)}")
        for name, amount in product.related
    ]
    if related:
        related.insert(0, Block("section", shop.heading))
    body = [block for name in shop.order for block in _rows(name, shop, product)]
    return [
        Block("title", title),
        Block("links", " ".join(shop.links)),
        *(related if shop.related_first else []),
        Block("heading", product.title),
        *body,
        *([] if shop.related_first else related),
        *([Block("footer", " ".join(shop.footer))] if shop.footer else []),
    ]


def _rows(name: str, shop: Shop, product: Product) -> list[Block]:
    if name == "details":
        return [Block("row", value, label) for label, value in product.details]
    value = _shown(name, shop, product)
    if value is None:
        return []
    rows = [Block("row" if shop.labels[name] else "text", value, shop.labels[name])]
    if name == "price" and product.old_price:
        was = written_price(product.old_price, shop.currency, shop.price_form)
        rows.insert(0, Block("row", was, "Was"))
    if name == "price" and shop.price_for_machines:
        rows.append(Block("price", product.amount))
    return rows


def _shown(name: str, shop: Shop, product: Product) -> str | None:
    if name == "price":
        return written_price(product.amount, product.currency, shop.price_form)
    if name == "availability":
        return shop.in_stock if product.in_stock else shop.out_of_stock
    if name == "rating":
        return shop.rating_form.format(r=product.rating, n=product.reviews) if product.rating else None
    value: str | None = getattr(product, name)
    return value


def page_text(shop: Shop, product: Product) -> str:
    """The lines a model reads."""
    return "\n".join(_line(shop, block) for block in page_blocks(shop, product))


def _line(shop: Shop, block: Block) -> str:
    if block.kind == "title":
        return f"title: {block.text}"
    if block.kind == "price":
        return f"price: {block.text}"
    return f"{block.label}{shop.joint}{block.text}" if block.label else block.text


def page_html(shop: Shop, product: Product) -> str:
    """The page as the shop's server would send it."""
    head, *rest = page_blocks(shop, product)
    body: list[str] = []
    for rows, blocks in groupby(rest, key=lambda block: block.kind == "row"):
        start, end = _BODIES[shop.body][::2] if rows else ("", "")
        body += [start, *(_markup(shop, block) for block in blocks), end]
    name = shop.name.lower()
    lines = [
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{_markup(shop, head)}',
        f"<style>.{name} {{ color: #333 }}</style>",
        f'<script>window.shop = {{"visit": {product.number}}};</script></head>',
        f'<body class="{name}"><!-- {shop.host} -->',
        *(line for line in body if line),
        "</body></html>\n",
    ]
    return "\n".join(lines)


_BODIES = {
    "list": ("<ul>", "<li>{label}{joint}{text}</li>", "</ul>"),
    "table": ("<table>", "<tr><th>{label}</th><td>{text}</td></tr>", "</table>"),
    "terms": ("<dl>", "<dt>{label}</dt><dd>{text}</dd>", "</dl>"),
    "boxes": ("<div>", "<p><b>{label}{joint}</b>{text}</p>", "</div>"),
}
_OTHERS = {
    "title": "<title>{text}</title>",
    "heading": "<h1>{text}</h1>",
    "text": "<p>{text}</p>",
    "price": '<meta itemprop="price" content="{text}">',
    "section": "<h2>{text}</h2>",
    "related": '<div><a href="#">{text}</a></div>',
}


def _markup(shop: Shop, block: Block) -> str:
    text = html.escape(block.text)
    if block.kind in ("links", "footer"):
        tag = "nav" if block.kind == "links" else "footer"
        links = " ".join(f'<a href="/{word.lower()}">{word}</a>' for word in text.split(" "))
        return f"<{tag}>{links}</{tag}>"
    if block.kind == "row":
        return _BODIES[shop.body][1].format(label=html.escape(block.label), joint=shop.joint, text=text)
    return _OTHERS[block.kind].format(text=text)


def shop_facts(seed: int = 0) -> FactSet:
    """The page examples of a seed: 1,200 to train on, 240 test pages of the same shops, 240 pages of new shops."""
    facts = []
    for shop, product, part in shop_pages(seed):
        facts.append(
            Fact(
                relation=shop.host,
                subject=page_id(shop, product),
                object=answer(product),
                question=page_text(shop, product),
                domain="out-of-domain" if part == "ood" else "in-domain",
                split="train" if part == "train" else "test",
            )
        )
    return FactSet(tuple(facts), "pocket-shop")


def shop_pages(seed: int = 0) -> list[tuple[Shop, Product, str]]:
    """Every page of the fact set with its part: train, test or ood."""
    pages = []
    for number in range(KNOWN_SHOPS + NEW_SHOPS):
        shop = make_shop(seed, number)
        known = number < KNOWN_SHOPS
        for at in range(TRAIN_PAGES + TEST_PAGES if known else NEW_PAGES):
            part = "ood" if not known else "train" if at < TRAIN_PAGES else "test"
            pages.append((shop, make_product(seed, shop, at), part))
    return pages


def page_id(shop: Shop, product: Product) -> str:
    """The page's address."""
    return f"{shop.host}/{product.number}"


def answer(product: Product) -> str:
    """The correct answer about a page: the non-empty attributes as compact JSON."""
    return compact_json({name: value for name, value in product.truth().items() if value is not None})
