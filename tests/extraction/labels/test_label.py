"""Labels from tables and from schema.org data, and the examples made of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_label import few_pages, pages_step
from recollect.errors import InputError, StepError
from recollect.extraction.labels import LabelSettings, run_label, schema_org_values
from recollect.extraction.labels.labels import PageText, check_labels, deal, make_examples
from recollect.extraction.values import ScoreSettings, parse_answer, read_schema, run_score
from recollect.facts import load_facts
from recollect.select import SelectSettings, run_select

SCHEMA = read_schema()
TRUTH = {
    **{f"p{n}": {"brand": [f"Acme{n}"], "price": f"{n + 10}.50", "sku": [f"A-{n}7", f"B{n}"]} for n in range(5)},
    "elsewhere": {"brand": "Unknown"},
}


def table_settings(tmp_path: Path, truth: dict[str, Any] | None = None, **more: Any) -> LabelSettings:
    few_pages(tmp_path / "pages")
    (tmp_path / "truth.json").write_text(json.dumps(truth or TRUTH))
    values = {"pages": tmp_path / "pages", "source": "table", "table": tmp_path / "truth.json"}
    return LabelSettings.make(**{**values, **more})


def test_a_table_gives_labels_and_facts_that_other_steps_read(tmp_path: Path) -> None:
    result = run_label(table_settings(tmp_path), out=tmp_path / "label")
    labels = result.labels()
    assert labels.columns == ["page_id", "attribute", "value", "source", "status", "reason", "in_prompt"]
    assert labels.filter(pl.col("page_id") == "p0").rows() == [
        ("p0", "brand", "Acme0", "table", "accepted", "", True),
        ("p0", "price", "10.50", "table", "accepted", "", True),
        ("p0", "sku", "A-07", "table", "accepted", "", True),
        ("p0", "sku", "B0", "table", "accepted", "", False),
    ]
    facts = load_facts(str(tmp_path / "label"))
    assert facts.counts() == {"train": 3, "test": 1, "ood": 1}
    first = next(iter(facts))
    assert (first.relation, first.subject) == ("one.example", "p0")
    assert first.object == '{"brand":"Acme0","price":"10.50","sku":"A-07"}'
    assert first.question.startswith("title: Thing 0") and "wanted" not in first.question
    selection = run_select(
        SelectSettings.make(facts=str(tmp_path / "label"), size=2, level="random"), out=tmp_path / "select"
    )
    assert {fact.relation for fact in selection.facts} == {"one.example", "two.example"}


def test_further_true_values_are_kept_as_whole_answers_in_test(tmp_path: Path) -> None:
    facts = run_label(table_settings(tmp_path), out=tmp_path / "label").facts()
    (test,) = facts.part("test")
    assert test.synonyms == ('{"brand":"Acme3","price":"13.50","sku":"B3"}',)
    assert all(fact.synonyms == () for fact in facts.part("train"))  # B0 stands nowhere in its page


def test_training_answers_hold_only_what_stands_in_the_page_and_test_answers_all(tmp_path: Path) -> None:
    truth = {f"p{n}": {"brand": f"Acme{n}", "gtin": "4006381333931"} for n in range(6)}
    kept = run_label(table_settings(tmp_path, truth), out=tmp_path / "label").facts()
    assert {"gtin" in fact.object for fact in kept.part("train")} == {False}
    assert {"gtin" in fact.object for fact in kept.part("test")} == {True}
    every = run_label(table_settings(tmp_path, truth, train_only_seen=False), out=tmp_path / "all").facts()
    assert {"gtin" in fact.object for fact in every} == {True}


def test_two_samples_of_a_page_ask_for_all_attributes_between_them(tmp_path: Path) -> None:
    result = run_label(table_settings(tmp_path, samples_per_page=2), out=tmp_path / "label")
    samples = pl.read_parquet(result.path / "samples.parquet")
    facts = result.facts()
    for page, rows in samples.group_by("page_id"):
        halves = rows["asked"].to_list()
        assert sorted(name for half in halves for name in half) == sorted(SCHEMA.names), page
        for fact_id, asked in zip(rows["fact_id"], halves, strict=True):
            assert facts[fact_id].question.endswith(f"\nwanted: {', '.join(asked)}")
            assert set(parse_answer(facts[fact_id].object) or {}) <= set(asked)


@given(st.integers(1, 12), st.integers(0, 5), st.text(max_size=8))
def test_dealing_gives_every_attribute_once_in_even_hands(samples: int, seed: int, page: str) -> None:
    hands = deal(SCHEMA, page, samples, seed)
    assert sorted(name for hand in hands for name in hand) == sorted(SCHEMA.names)
    sizes = [len(hand) for hand in hands]
    assert max(sizes) - min(sizes) <= 1 and len(hands) == min(samples, 8)
    assert all(list(hand) == [name for name in SCHEMA.names if name in hand] for hand in hands)


def test_unreadable_values_are_rejected(tmp_path: Path) -> None:
    truth = {"p0": {"brand": "Acme0", "price": "ask us", "gtin": "12345"}}
    result = run_label(table_settings(tmp_path, truth), out=tmp_path / "label")
    assert result.found.reasons == {"not a value of type gtin": 1, "not a value of type price": 1}


def test_a_label_step_is_found_again_and_another_schema_is_refused(tmp_path: Path) -> None:
    settings = table_settings(tmp_path)
    first = run_label(settings, out=tmp_path / "label")
    before = {path.name: path.read_bytes() for path in first.path.iterdir()}
    assert run_label(settings, out=tmp_path / "label").path == first.path
    assert {path.name: path.read_bytes() for path in first.path.iterdir()} == before
    (tmp_path / "mine.yaml").write_text(SCHEMA.only(("brand",)).text())
    with pytest.raises(StepError, match="schema"):
        run_label(table_settings(tmp_path, attributes=str(tmp_path / "mine.yaml")), out=tmp_path / "label")


def test_the_same_command_writes_the_same_bytes(tmp_path: Path) -> None:
    settings = table_settings(tmp_path, samples_per_page=2)
    one, two = (run_label(settings, out=tmp_path / name).path for name in ("one", "two"))
    for name in ("labels.parquet", "facts.parquet", "samples.parquet", "schema.yaml"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ({"other": {"brand": "x"}}, "but of none in"),
        ({"p0": {"price": "none"}}, "none of 6 pages has an accepted label"),
    ],
)
def test_a_table_that_labels_nothing_is_refused_and_leaves_nothing(tmp_path: Path, truth: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        run_label(table_settings(tmp_path, truth), out=tmp_path / "label")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pages", "truth.json"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": "table"}, "--table FILE"),
        ({"source": "schema.org", "table": "x.json"}, "--table FILE"),
        ({"source": "llm"}, "--endpoint"),
        ({"source": "llm", "endpoint": "http://localhost/v1", "llm": "m"}, "--price-in"),
        ({"source": "guess"}, "source"),
    ],
)
def test_settings_that_do_not_fit_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LabelSettings.make(pages=Path("pages"), **values)


def test_only_a_pages_step_can_be_labelled(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text("{}")
    with pytest.raises(InputError, match="no such step"):
        run_label(LabelSettings.make(pages=tmp_path / "nowhere", source="table", table=tmp_path / "truth.json"))


def test_a_limit_takes_the_same_pages_whatever_else_is_there(tmp_path: Path) -> None:
    pages = {f"q{n}": ("one.example", "train", f"by Acme{n}") for n in range(12)}
    (tmp_path / "truth.json").write_text(json.dumps({page: {"brand": f"Acme{page[1:]}"} for page in pages}))
    chosen = []
    for name, some in (("all", pages), ("few", dict(list(pages.items())[:9]))):
        pages_step(tmp_path / name, some)
        settings = LabelSettings.make(
            pages=tmp_path / name, source="table", table=tmp_path / "truth.json", limit=4, seed=3
        )
        chosen.append({fact.subject for fact in run_label(settings, out=tmp_path / f"label-{name}").facts()})
    assert len(chosen[0]) == len(chosen[1]) == 4
    assert chosen[0] & set(list(pages)[:9]) <= chosen[1]


JSON_LD = """<html><script type="application/ld+json">{broken</script>
<script type="application/ld+json">{"@graph": [{"@type": "WebPage"}, {"@type": ["Product"], "name": "Blue mug",
 "brand": {"@type": "Brand", "name": "Acme"}, "sku": 17, "gtin13": "4006381333931", "isRelatedTo": {"@type": "Product",
 "name": "Red mug"}, "offers": [{"@type": "Offer", "price": 12.50, "priceCurrency": "EUR",
 "availability": "https://schema.org/InStock"}], "aggregateRating": {"ratingValue": "4,5"}}]}</script></html>"""
MICRODATA = """<div itemscope itemtype="http://schema.org/Product"><h1 itemprop="name">Blue mug</h1>
<div itemprop="offers" itemscope itemtype="http://schema.org/Offer"><span itemprop="price" content="12.50">12,50</span>
<link itemprop="availability" href="http://schema.org/OutOfStock"></div></div>"""


def test_schema_org_data_is_read_from_json_ld() -> None:
    assert schema_org_values(JSON_LD, SCHEMA) == {
        "title": "Blue mug",
        "brand": "Acme",
        "price": "12.50",
        "currency": "EUR",
        "sku": "17",
        "gtin": "4006381333931",
        "availability": "https://schema.org/InStock",
        "rating": "4,5",
    }


def test_schema_org_data_is_read_from_microdata() -> None:
    found = schema_org_values(MICRODATA, SCHEMA)
    assert found == {"title": "Blue mug", "price": "12.50", "availability": "http://schema.org/OutOfStock"}


@pytest.mark.parametrize(
    "html",
    [
        "<!-- -->",
        '<?xml version="1.0" encoding="utf-8"?><html></html>',
        "<div>" * 50_000,
        '<script type="application/ld+json">' + "[" * 100_000 + "</script>",
        '<script type="application/ld+json">{"@type":"Product","offers":'
        + '{"offers":' * 3_000
        + "1"
        + "}" * 3_001
        + "</script>",
        '<div itemscope itemtype="http://schema.org/Product">' * 3_000,
        '<script type="application/ld+json">{"@type":"Product","name":null,"brand":[],"offers":"x"}</script>',
        '<script type="application/ld+json">7</script>',
        '<div itemscope itemid="a" itemref="a" id="a" itemtype="http://schema.org/Product" itemprop="b"></div>',
        "\ud800<p>",
    ],
)
def test_hostile_pages_have_no_product_and_do_no_harm(html: str) -> None:
    assert set(schema_org_values(html, SCHEMA).values()) <= {"x"}


PRODUCT = '<div itemscope itemtype="http://schema.org/Product">'


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (f"<p {' '.join(f'a{n}=1' for n in range(100_000))}>{MICRODATA}", "Blue mug"),
        (PRODUCT + '<div itemprop="sku">' * 200 + "x" * 4_000_000, None),
        (PRODUCT + '<p itemprop="sku">1</p>' * 100_000, None),
        (f'<script type="application/ld+json">{{"a": /* {"x" * 900_000}</script>' * 6 + MICRODATA, "Blue mug"),
        (PRODUCT + '<a itemprop="url" href="http://[">x</a><p itemprop="name">Blue mug</p></div>', "Blue mug"),
    ],
    ids=["many attributes", "nested long texts", "many properties", "broken scripts", "a bad address"],
)
def test_a_flood_is_over_in_time_and_costs_only_itself(html: str, expected: str | None) -> None:
    started = time.thread_time()
    assert schema_org_values(html, SCHEMA).get("title") == expected
    assert time.thread_time() - started < 10


def test_a_page_that_is_too_slow_to_read_is_rejected_and_the_others_are_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recollect.extraction.html import PagesSettings, run_pages
    from recollect.extraction.labels import schema_org as _schema_org

    (tmp_path / "html").mkdir()
    (tmp_path / "html/a.html").write_text(MICRODATA)
    (tmp_path / "html/b.html").write_text(f"<p>{'<i>x</i>' * 50_000}</p>" + MICRODATA * 2_000)
    run_pages(PagesSettings.make(path=tmp_path / "html"), out=tmp_path / "pages")
    monkeypatch.setattr(_schema_org, "_SECONDS", 0.05)
    settings = LabelSettings.make(pages=tmp_path / "pages", source="schema.org")
    found = run_label(settings, out=tmp_path / "label").found
    assert found.labelled == 1
    assert found.reasons == {"the page took longer to read than its limit of seconds": 1}


def test_a_table_may_name_pages_without_their_folders(tmp_path: Path) -> None:
    pages = {f"html/q{n}": ("one.example", "train", f"by Acme{n}") for n in range(3)}
    pages_step(tmp_path / "pages", pages)
    (tmp_path / "truth.json").write_text(json.dumps({f"q{n}": {"brand": f"Acme{n}"} for n in range(3)}))
    settings = LabelSettings.make(pages=tmp_path / "pages", source="table", table=tmp_path / "truth.json")
    assert run_label(settings, out=tmp_path / "label").found.labelled == 3
    score = ScoreSettings.make(predictions=tmp_path / "label", truth=tmp_path / "truth.json")
    found = run_score(score, out=tmp_path / "score").found
    assert found.macro is not None and found.macro.value == 1.0
    assert found.pages == 3 and found.predictions_without_truth == 0


def test_pages_of_a_folder_are_labelled_from_their_own_data(tmp_path: Path) -> None:
    from recollect.extraction.html import PagesSettings, run_pages

    (tmp_path / "html").mkdir()
    (tmp_path / "html/a.html").write_text(JSON_LD)
    (tmp_path / "html/b.html").write_text(MICRODATA)
    (tmp_path / "html/c.html").write_text("<p>no product here</p>")
    run_pages(PagesSettings.make(path=tmp_path / "html"), out=tmp_path / "pages")
    settings = LabelSettings.make(pages=tmp_path / "pages", source="schema.org")
    found = run_label(settings, out=tmp_path / "label").found
    assert (found.pages, found.labelled) == (3, 2)
    assert found.by_attribute["price"].plain() == {"accepted": 2, "in_prompt": 2, "rejected": 0}


def test_bad_rows_of_a_table_end_the_step_or_are_skipped_and_counted(tmp_path: Path) -> None:
    table = tmp_path / "truth.jsonl"
    rows = [{"page_id": f"p{n}", "brand": f"Acme{n}"} for n in range(4)] + [{"page_id": None, "brand": "Acme4"}]
    table.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match="line 5 must have one page_id"):
        run_label(table_settings(tmp_path, table=table), out=tmp_path / "strict")
    assert not (tmp_path / "strict").exists()
    found = run_label(table_settings(tmp_path, table=table, bad_rows="skip"), out=tmp_path / "label").found
    assert found.accepted == 4
    assert found.bad_rows["table"].skipped == 1
    assert found.bad_rows["table"].reasons == {"no page_id": 1}


def test_a_page_whose_file_is_gone_has_no_labels_and_says_why(tmp_path: Path) -> None:
    from recollect.extraction.html import PagesSettings, run_pages

    (tmp_path / "html").mkdir()
    (tmp_path / "html/a.html").write_text(JSON_LD)
    (tmp_path / "html/b.html").write_text(MICRODATA)
    run_pages(PagesSettings.make(path=tmp_path / "html"), out=tmp_path / "pages")
    (tmp_path / "html/b.html").unlink()
    result = run_label(LabelSettings.make(pages=tmp_path / "pages", source="schema.org"), out=tmp_path / "label")
    rows = result.labels().filter(pl.col("page_id") == "b").select("attribute", "status", "reason").rows()
    assert rows == [(None, "rejected", "the raw page is gone or cannot be read")]


def test_files_that_changed_after_the_prompts_are_refused(tmp_path: Path) -> None:
    """Before the labels are made and, since a finished step would be returned as it is, after."""
    from recollect.extraction.html import PagesSettings, run_pages

    (tmp_path / "html").mkdir()
    (tmp_path / "html/a.html").write_text(JSON_LD)
    (tmp_path / "html/b.html").write_text(MICRODATA)
    run_pages(PagesSettings.make(path=tmp_path / "html"), out=tmp_path / "pages")
    settings = LabelSettings.make(pages=tmp_path / "pages", source="schema.org")
    run_label(settings, out=tmp_path / "before")
    (tmp_path / "html/b.html").write_text(MICRODATA + " ")
    for out in ("before", "after"):
        with pytest.raises(InputError, match="'b' .* is not what .* made its prompt of"):
            run_label(settings, out=tmp_path / out)
    assert not (tmp_path / "after").exists()


@given(
    st.lists(st.tuples(st.sampled_from(SCHEMA.names), st.text(max_size=12)), max_size=8),
    st.text(max_size=60),
    st.integers(1, 3),
)
def test_any_labels_make_examples_whose_answers_are_accepted_labels(
    pairs: list[tuple[str, str]], prompt: str, samples: int
) -> None:
    page = PageText("p", "shop.example", "train", prompt)
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    labels = check_labels(SCHEMA, [page], {"p": values}, "llm", verbatim=True)
    kept = labels.filter(pl.col("status") == "accepted")
    assert labels.height == len(pairs) and kept["in_prompt"].all()
    examples = make_examples(SCHEMA, [page], labels, samples_per_page=samples)
    taught = [pair for fact in examples.facts for text in fact.accepted for pair in (parse_answer(text) or {}).items()]
    stripped = {(row["attribute"], row["value"].strip()) for row in kept.iter_rows(named=True)}
    assert set(taught) <= stripped
