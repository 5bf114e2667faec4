"""The shop world as page examples: what `--facts pocket-shop` loads.

Notable choices
- A page example is a fact: relation = the shop's host, subject = the page, question = the page's prompt, object = its
  non-empty attributes as compact JSON, in the order of the schema.
- Known shops give training pages and other pages for testing; new shops are met at test time only ("ood").
"""

from __future__ import annotations

from recollect.extraction.values import compact_json
from recollect.facts import Fact, FactSet
from recollect.worlds.shop.page import page_text
from recollect.worlds.shop.world import Product, Shop, make_product, make_shop

KNOWN_SHOPS, NEW_SHOPS = 40, 20
TRAIN_PAGES, TEST_PAGES, NEW_PAGES = 30, 6, 12


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
    """The right answer about a page: the non-empty attributes as compact JSON."""
    return compact_json({name: value for name, value in product.truth().items() if value is not None})
