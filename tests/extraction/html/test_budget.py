"""Budgets: never exceeded, whatever counts, and spent on the likeliest lines first."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.errors import InputError
from recollect.extraction.html import estimate_tokens, page_prompt, read_page, tokenizer_counter

POCKET = Path(__file__).parents[3] / "src/recollect/worlds/quiz/base"
PRODUCT = (
    '<div class="product-detail"><h1>Blue mug</h1><p class=brand>Brand: Acme</p><p class=price>$12.50</p>'
    "<p>SKU: BM-17</p><button>Add to cart</button></div>"
)


def shop_page(noise: int, seed: int = 0) -> str:
    draw = random.Random(seed)
    words = ["garden", "news", "about", "travel", "winter", "sale", "kitchen", "help", "stores", "gift"]
    links = [f"<li><a href=#>{' '.join(draw.choices(words, k=4))} {n}</a></li>" for n in range(noise)]
    half = len(links) // 2
    before, after = "".join(links[:half]), "".join(links[half:])
    return f"<title>Blue mug | Shop</title><nav>{before}</nav>{PRODUCT}<footer>{after}</footer>"


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.integers(0, 60), st.sampled_from(["estimate", "characters"]))
def test_a_prompt_is_never_over_its_budget_and_is_whole_when_it_fits(budget, noise, name):
    count = {"estimate": estimate_tokens, "characters": len}[name]
    html = shop_page(noise)
    prompt = page_prompt(html, budget, count)
    whole = page_prompt(html, 10**6, count)
    assert prompt.tokens == count(prompt.text) <= budget
    assert prompt.truncated == (whole.tokens > budget)
    if not prompt.truncated:
        assert prompt.text == whole.text


def test_the_lines_kept_are_lines_of_the_page_in_document_order():
    html = shop_page(300)
    everything = page_prompt(html, 10**6).text.split("\n")
    kept = iter(everything)
    assert all(line in kept for line in page_prompt(html, 120).text.split("\n"))


def test_the_product_goes_in_before_menus_and_footers():
    text = page_prompt(shop_page(2_000), 60).text
    assert all(wanted in text for wanted in ("Blue mug", "Acme", "$12.50", "BM-17", "Add to cart"))


def test_a_larger_budget_keeps_what_a_smaller_one_kept():
    page = read_page(shop_page(500))
    small, large = (set(page.prompt(budget).text.split("\n")) for budget in (100, 400))
    assert small < large


def test_a_long_line_is_clipped_only_when_the_page_does_not_fit():
    html = f"<p>{'word ' * 300}</p>" + shop_page(100)
    assert "…" not in page_prompt(html, 10**6).text
    assert any(line.endswith("…") and len(line) <= 400 for line in page_prompt(html, 900).text.split("\n"))


def test_a_real_tokenizer_counts():
    count = tokenizer_counter(POCKET)
    prompt = page_prompt(shop_page(300), 200, count)
    assert 0 < prompt.tokens == count(prompt.text) <= 200


def test_a_folder_without_tokenizer_and_a_budget_of_nothing_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no tokenizer at .*tokenizer\.json"):
        tokenizer_counter(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="is no tokenizer"):
        tokenizer_counter(tmp_path)
    with pytest.raises(InputError, match="budget must be at least 1"):
        page_prompt("<p>x", 0)


@given(st.text(), st.text())
def test_the_estimate_adds_up_over_lines(a, b):
    assert estimate_tokens(f"{a}\n{b}") == estimate_tokens(a) + 1 + estimate_tokens(b)
