"""Structured data as shops write it: read once, for prompts and for labels alike."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from recollect.errors import InputError, StepError
from recollect.extraction.html import PagesSettings, page_prompt, run_pages
from recollect.extraction.html.json_ld import load_json, whole
from recollect.extraction.labels import LabelSettings, read_schema_org, run_label, schema_org_values
from recollect.extraction.values import equal, occurs, read_schema

SCHEMA = read_schema()
OFFER = {"@type": "Offer", "price": "18.50", "priceCurrency": "EUR", "availability": "https://schema.org/InStock"}
MUG = {"@context": "https://schema.org", "@type": "Product", "name": "Blue Mug", "sku": "BM-17", "offers": OFFER}
SIX = {"title": "Blue Mug", "sku": "BM-17", "price": "18.50", "currency": "EUR", "availability": "InStock"}


def page(*scripts: object, body: str = "<h1>Blue Mug</h1><p>18,50 €</p><p>In stock</p>", kind: str = "ld+json") -> str:
    made = "".join(
        f'<script type="application/{kind}">{one if isinstance(one, str) else json.dumps(one)}</script>'
        for one in scripts
    )
    return f"<html><head><title>Blue Mug | Shop</title>{made}</head><body>{body}</body></html>"


def has(html: str, expected: dict[str, str]) -> None:
    """The labels mean what is expected, no attribute more, and each stands in the prompt."""
    found = schema_org_values(html, SCHEMA)
    assert set(found) == set(expected), found
    prompt = page_prompt(html).text
    for name, value in expected.items():
        assert equal(SCHEMA.attribute(name), value, found[name]), (name, found[name])
        assert occurs(SCHEMA.attribute(name), found[name], prompt), (name, prompt)


@pytest.mark.parametrize(
    "html",
    [
        page(MUG),
        page(MUG, kind="ld+json; charset=utf-8"),
        page(MUG, kind="LD+JSON"),
        page(f"//<![CDATA[\n{json.dumps(MUG)}\n//]]>"),
        page(f"/*<![CDATA[*/{json.dumps(MUG)}/*]]>*/"),
        page(f"<!-- {json.dumps(MUG)} -->"),
        page(f"\ufeff {json.dumps(MUG)};"),
        page(f"// the product\n{json.dumps(MUG)}"),
        page(json.dumps(MUG)[:-1] + ", /* last */ }"),
        page(json.dumps(MUG)[:-1] + ',"description": "a 5" mug"}'),
        page(json.dumps(MUG)[:-1] + ',"description": "two\nlines"}'),
        page(json.dumps(MUG).replace('"', "&quot;")),
        page(json.dumps(json.dumps(MUG))),
        page([[MUG]]),
        page({"@context": {"schema": "https://schema.org/"}, "@type": "schema:Product", "schema:name": "Blue Mug",
              "schema:sku": "BM-17", "schema:offers": {f"schema:{name}": value for name, value in OFFER.items()}}),
        page({"@type": "http://www.schema.org/Product", "http://schema.org/name": "Blue Mug", "sku": "BM-17",
              "offers": OFFER}),
        page({**MUG, "name": {"@value": "Blue Mug", "@language": "en"}, "sku": [{"@value": "BM-17"}],
              "offers": {"price": {"@value": "18.50", "@type": "xsd:decimal"}, "priceCurrency": {"@value": "EUR"},
                         "availability": {"@id": "https://schema.org/InStock"}}}),
        page({"@graph": [{"@type": "WebPage", "@id": "#page"}, {**MUG, "@id": "#mug", "offers": {"@id": "#offer"}},
                         {**OFFER, "@id": "#offer"}]}),
        page({**MUG, "offers": {"@type": "Offer", "@id": "#offer"}}, {**OFFER, "@id": "#offer"}),
        page({"@type": "ItemPage", "mainEntity": {"@id": "#mug"}}, {**MUG, "@id": "#mug",
              "mainEntityOfPage": {"@id": "#page"}}),
        page({"@type": "Offer", **{k: v for k, v in OFFER.items() if k != "@type"},
              "itemOffered": {"@type": "Product", "name": "Blue Mug", "sku": "BM-17"}}),
    ],
)  # fmt: skip
def test_every_way_to_write_the_same_product_gives_the_same_labels(html: str) -> None:
    has(html, SIX)


def test_entities_and_formatting_in_values_are_undone_for_prompt_and_label() -> None:
    html = page({**MUG, "name": "Salt &amp;amp; <b>Pepper</b> Mug"}, body="<h1>Salt &amp; Pepper Mug</h1>")
    assert schema_org_values(html, SCHEMA)["title"].split() == ["Salt", "&", "Pepper", "Mug"]
    assert occurs(SCHEMA.attribute("title"), schema_org_values(html, SCHEMA)["title"], page_prompt(html).text)


def test_an_offer_by_reference_stands_once_in_the_prompt() -> None:
    html = page({"@graph": [{**MUG, "offers": {"@id": "#o"}}, {**OFFER, "@id": "#o"}]}, body="<p>x</p>")
    assert [line for line in page_prompt(html).text.split("\n") if "price:" in line] == ["offers.price: 18.50"]


def test_references_in_a_circle_and_floods_of_them_end() -> None:
    circle = {
        "@graph": [{**MUG, "@id": "#a", "brand": {"@id": "#b"}}, {"@id": "#b", "name": "Acme", "x": {"@id": "#a"}}]
    }
    assert schema_org_values(page(circle), SCHEMA)["brand"] == "Acme"
    nodes = [{"@id": f"#{n}", "name": "n", "x": [{"@id": f"#{n + 1}"}] * 20} for n in range(40)]
    started = time.thread_time()
    assert schema_org_values(page({"@graph": [{**MUG, "brand": {"@id": "#0"}}, *nodes]}), SCHEMA)["title"] == "Blue Mug"
    assert time.thread_time() - started < 8


RDFA = """<div vocab="https://schema.org/" typeof="Product"><h1 property="name">Blue Mug</h1>
<span property="sku">BM-17</span><div property="offers" typeof="Offer">
<span property="price" content="18.50">18,50</span>
<meta property="priceCurrency" content="EUR"><link property="availability" href="https://schema.org/InStock">
<p>EUR</p><p>In stock</p></div></div>"""


def test_rdfa_and_items_of_bare_text_are_read_as_microdata() -> None:
    has(f"<title>Blue Mug</title>{RDFA}", SIX)
    bare = """<div itemscope itemtype="http://schema.org/Product"><h1 itemprop="name">Blue Mug</h1>
    <span itemprop="brand" itemscope itemtype="http://schema.org/Brand">Acme</span></div>"""
    has(bare, {"title": "Blue Mug", "brand": "Acme"})


def test_a_script_that_cannot_be_read_gives_its_reason() -> None:
    html = page(json.dumps(MUG)[:-30])
    assert [one.reason for one in read_schema_org(html, SCHEMA).lost] == ["JSON-LD that cannot be read: it is cut off"]
    assert "json-ld" in page_prompt(html).notes
    assert read_schema_org(page(body="<p>x</p>"), SCHEMA).lost[0].reason == "the page has no schema.org product"


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, '{"a":' * 20_000, "(" * 100_000, '{"a": ' + "9" * 6_000, "\\" * 90_000]
)
def test_hostile_json_is_refused_in_time(text: str) -> None:
    started = time.thread_time()
    with pytest.raises(ValueError, match=r"."):
        load_json(text)
    assert time.thread_time() - started < 2


def test_numbers_keep_their_digits() -> None:
    assert load_json('{"a": 12.50, "b": 1.2E3, "c": 7, "d": 1e999999}') == {
        "a": "12.50", "b": "1200", "c": "7", "d": "1e999999"}  # fmt: skip
    assert load_json("[" + "7" * 5_000 + "]") == ["7" * 5_000]


def test_half_a_surrogate_pair_becomes_a_mark_and_a_whole_pair_its_character() -> None:
    assert whole("a \ud83d") == "a \ufffd" and whole("a \ud83d\ude00") == "a 😀" and whole("ä") == "ä"


def test_a_cut_emoji_costs_no_page_and_is_noted(tmp_path: Path) -> None:
    folder = tmp_path / "html"
    folder.mkdir()
    (folder / "bad.html").write_text(page('{"@type":"Product","sku":"A-1","name":"Mug \\ud83d","price":"5"}'))
    (folder / "good.html").write_text(page(MUG))
    (Path(str(folder)) / "odd\udcff.html").write_text(page(MUG))  # a name that is no UTF-8
    table = run_pages(PagesSettings.make(path=folder), out=tmp_path / "pages").table()
    notes = dict(table.select("page_id", "notes").iter_rows())
    assert set(notes) == {"bad", "good", "odd\ufffd"} and notes["bad"] == "characters"
    labels = run_label(
        LabelSettings.make(pages=tmp_path / "pages", source="schema.org"), out=tmp_path / "label"
    ).labels()
    assert labels.filter(page_id="bad", attribute="title")["reason"].to_list() == ["characters that cannot be read"]
    assert labels.filter(page_id="bad", attribute="sku")["status"].to_list() == ["accepted"]


def test_labels_never_come_from_other_pages_than_the_prompts(tmp_path: Path) -> None:
    folder = tmp_path / "html"
    folder.mkdir()
    (folder / "a.html").write_text(page(MUG))
    run_pages(PagesSettings.make(path=folder), out=tmp_path / "pages")
    settings = LabelSettings.make(pages=tmp_path / "pages", source="schema.org")
    run_label(settings, out=tmp_path / "before")
    folder.rename(tmp_path / "kept")
    assert run_label(settings, out=tmp_path / "before").found.labelled == 1  # gone: what was made stays right
    folder.mkdir()
    (folder / "a.html").write_text(page({**MUG, "name": "Red Mug"}))
    for out in ("before", "after"):
        with pytest.raises(InputError, match="the page 'a' in .* is not what .* made its prompt of"):
            run_label(settings, out=tmp_path / out)
    elsewhere = LabelSettings.make(pages=tmp_path / "pages", source="schema.org", html=tmp_path / "kept")
    assert run_label(elsewhere, out=tmp_path / "after").labels().filter(attribute="title")["value"].to_list() == [
        "Blue Mug"
    ]


def test_a_pages_step_of_an_older_version_is_checked_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recollect.extraction.html import step as _step

    folder = tmp_path / "html"
    folder.mkdir()
    (folder / "a.html").write_text(page(MUG))
    monkeypatch.setattr(_step, "_digests", lambda pages: None)
    run_pages(PagesSettings.make(path=folder), out=tmp_path / "pages")
    settings = LabelSettings.make(pages=tmp_path / "pages", source="schema.org")
    assert run_label(settings, out=tmp_path / "one").found.labelled == 1
    (folder / "b.html").write_text(page(MUG))
    with pytest.raises((InputError, StepError), match="the pages in .* are not what"):
        run_label(settings, out=tmp_path / "two")
