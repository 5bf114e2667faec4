"""The chapter on attributes: its numbers, its pages with their marks, hostile text, and how it is collected."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recollect.core.workspace.manifest import file_marks
from recollect.errors import InputError
from recollect.evaluate import EvaluateFound, PagesAsked
from recollect.extraction.values import PageAnswer, PageScores, items, judge, read_schema, score
from recollect.facts import FactSet, Part
from recollect.report import (
    AskedPages,
    Results,
    collect_attributes,
    make_results,
    read_results,
    render,
    report_results,
    write_report,
)
from recollect.report.chapters.attributes.charts import MOST_BARS, part_rows, shown_systems
from recollect.report.chapters.attributes.page_text import marked
from recollect.report.chapters.attributes.record import Attributes, AttributeSystem, PageSpan
from recollect.worlds.shop import shop_facts

SCHEMA = read_schema("product")
PARTS: tuple[Part, ...] = ("test", "ood")
NASTY = "<script>alert(1)</script> \u202e {{ 7*7 }} <img src=x onerror=alert(1)>"
FACTS = shop_facts(0)


def entry(right: int, n: int = 40) -> dict[str, Any]:
    share = 100 * right / n
    return {"accuracy": share, "low": max(0, share - 9), "high": min(100, share + 9), "n": n, "given": n}


def run(macro: float, seed: int | None = None, **by_attribute: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "macro": macro,
        "macro_low": macro - 5,
        "macro_high": macro + 5,
        "by_attribute": {name: entry(right) for name, right in by_attribute.items()},
        "invalid": {"accuracy": 10.0, "low": 4.0, "high": 20.0, "n": 40},
        "pages": 40,
    }


def chapter(**changed: Any) -> dict[str, Any]:
    """An invented chapter, never measured."""
    text = "title: Slim drill\nMaker: Velto\nPrice: 9.90\nWas 12.00"
    return {
        "names": ["brand", "price"],
        "systems": [
            {"name": "most frequent value", "kind": "baseline", "test": [run(20.0, brand=4, price=12)]},
            {"name": "untouched base", "kind": "base", "size": 0, "test": [run(6.0, brand=2, price=3)]},
            {
                "name": "60 examples",
                "kind": "tuned",
                "size": 60,
                "test": [run(70.0, 0, brand=38, price=18), run(74.0, 1, brand=38, price=20)],
                "ood": [run(60.0, 0, brand=30, price=18)],
            },
        ],
        "examples": [
            {
                "page": "shop.example/7",
                "part": "test",
                "prompt": text,
                "models": ["untouched base", "60 examples"],
                "values": [
                    {"attribute": "brand", "truth": ["Velto"], "given": [None, "Velto"], "right": [False, True]},
                    {"attribute": "price", "truth": ["9.90"], "given": ["1", "12.00"], "right": [False, False]},
                ],
                "spans": [
                    {"attribute": "brand", "kind": "found", "start": 25, "end": 30},
                    {"attribute": "price", "kind": "missed", "start": 38, "end": 42},
                    {"attribute": "price", "kind": "taken", "start": 47, "end": 52},
                ],
            }
        ],
    } | changed


def results(**changed: Any) -> Results:
    return make_results(
        {"title": "Pages", "created": "2026-01-01T00:00:00+00:00", "version": "0", "attributes": chapter(**changed)}
    )


def test_the_chapter_shows_bars_tables_sentences_and_pages() -> None:
    html = render(results())
    assert "What is read from pages" in html
    assert html.count("<svg") == 1
    assert "with 60 examples, 72.0 % of the values are right (macro" in html
    assert "best brand (95 %), worst price (48 %)" in html
    assert "Without training, the best is the most frequent value: 20.0 %" in html
    assert '<mark class="hit">Velto</mark><small class="hit">✓ brand</small>' in html
    assert '<mark class="miss">9.90</mark><small class="miss">✗ price</small>' in html
    assert '<mark class="took">12.00</mark><small class="took">≠ price</small>' in html
    assert "1 of 2 right" in html
    assert "Out-of-domain: new shops" in html


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    found = results().of(Attributes)
    assert found is not None
    frequent, base, tuned = part_rows(found, "test")
    macro = tuned.scores["macro"]
    assert macro is not None and macro.value == pytest.approx(0.72)
    assert (macro.lowest, macro.highest) == pytest.approx((0.7, 0.74))
    # t(1) = 12.706, pooled s = 2.83, two runs: 25.4; with the pages' own 5: sqrt(25.4² + 5²)
    assert macro.value - macro.low == pytest.approx(0.259, abs=0.0005)
    for untrained in (frequent.scores["macro"], base.scores["macro"]):
        assert untrained is not None and untrained.high - untrained.value == pytest.approx(0.05)  # no seeds, no spread
    assert [row.system.name for row in part_rows(found, "ood")] == ["60 examples"]


def test_the_report_is_written_again_from_its_results(tmp_path: Path) -> None:
    page = write_report(results(), tmp_path / "a")
    again = write_report(read_results(tmp_path / "a"), tmp_path / "b")
    assert page.read_bytes() == again.read_bytes()


class Tags(HTMLParser):
    """Every tag, the attributes' names, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_text_stays_text_everywhere() -> None:
    found = chapter(names=[NASTY, "price"])
    found["systems"][2]["name"] = NASTY
    for system in found["systems"]:
        for one in system["test"]:
            one["by_attribute"][NASTY] = one["by_attribute"].pop("brand")
    page = found["examples"][0]
    page |= {"page": NASTY, "prompt": NASTY, "models": ["base", NASTY]}
    page["spans"] = [{"attribute": NASTY, "kind": "found", "start": 4, "end": 30}]
    page["values"][0] |= {"attribute": NASTY, "truth": [NASTY], "given": [NASTY, NASTY], "right": [False, False]}
    del found["systems"][2]["ood"]
    html = render(make_results({"title": "x", "created": "2026-01-01", "version": "0", "attributes": found}))
    seen = Tags(html)
    assert not {"script", "img"} & seen.tags
    assert not any(name.startswith("on") for name in seen.attributes)
    assert "\u202e" not in html and "⟨U+202E⟩" in html
    assert "{{ 7*7 }}" in seen.text and "alert(1)" in seen.text


def test_overlapping_and_touching_spans_keep_the_text_whole() -> None:
    text = "Velto <b>drill</b> 9.90"
    spans = [
        PageSpan(attribute="title", kind="found", start=0, end=18),
        PageSpan(attribute="brand", kind="missed", start=0, end=5),
        PageSpan(attribute="price", kind="taken", start=19, end=23),
        PageSpan(attribute="rating", kind="found", start=18, end=19),
    ]
    html = marked(text, spans)
    assert '<mark class="miss">Velto</mark><small class="miss">✗ brand</small>' in html
    assert '<mark class="hit"> &lt;b&gt;drill&lt;/b&gt;</mark><small class="hit">✓ title</small>' in html
    bare = Tags(str(html).replace("<small", "<hr><small"))
    assert bare.tags <= {"mark", "small", "hr"}
    unmarked = marked(text, [])
    assert Tags(str(unmarked)).text == text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"names": []}, "at least 1"),
        ({"names": ["brand"]}, "price is not among them"),
        ({"systems": []}, "at least 1"),
    ],
)
def test_a_chapter_that_does_not_fit_together_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        results(**changed)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("spans", [{"attribute": "price", "kind": "found", "start": 3, "end": 999}], "must lie in the prompt"),
        ("spans", [{"attribute": "price", "kind": "found", "start": 3, "end": 3}], "must lie in the prompt"),
        ("models", ["one"], "one entry in given and right for each"),
    ],
)
def test_a_page_that_does_not_fit_together_is_refused(key: str, value: Any, message: str) -> None:
    found = chapter()
    found["examples"][0][key] = value
    with pytest.raises(InputError, match=message):
        make_results({"title": "x", "created": "2026-01-01", "version": "0", "attributes": found})


def test_of_many_models_the_first_and_the_last_are_drawn() -> None:
    systems = [AttributeSystem(name="base", kind="base", size=0)]
    systems += [AttributeSystem(name=f"{n} examples", kind="tuned", size=n) for n in range(10, 300, 10)]
    shown = [system.name for system in shown_systems(systems)]
    assert len(shown) == MOST_BARS
    assert shown[0] == "base" and shown[1] == "10 examples" and shown[-1] == "290 examples"


# ---- collecting ----


def evaluation(folder: Path, said: dict[str, str], pages: FactSet = FACTS, shift: int = 0) -> Path:
    """A finished evaluate step, written by hand: 12 known and 6 new shops' pages, answered by `said` or truly."""
    asked = [*list(pages.part("test"))[shift : shift + 12], *list(pages.part("ood"))[:6]]
    outputs = {fact.id: said.get(fact.part, fact.object) for fact in asked}
    answers, invalid = [], {"test": 0, "ood": 0}
    for fact in asked:
        try:
            given = json.loads(outputs[fact.id])
        except ValueError:
            given = None
            invalid[fact.part] += 1
        truth = {name: [value] for name, value in json.loads(fact.object).items()}
        answers.append(PageAnswer(fact.id, fact.subject, truth, given, part=fact.part))
    values = judge(SCHEMA, answers)
    parts: dict[Part, PageScores] = {
        part: score(values.filter(part=part), SCHEMA, invalid[part], sum(fact.part == part for fact in asked))
        for part in PARTS
    }
    folder.mkdir(parents=True)
    values.write_parquet(folder / "values.parquet")
    items(values).write_parquet(folder / "items.parquet")
    rows = {"fact_id": [fact.id for fact in asked], "question": [fact.question for fact in asked]}
    pl.DataFrame(rows).write_parquet(folder / "outputs.parquet")
    found = EvaluateFound(pages=PagesAsked(parts=parts), sources={"facts": "pocket-shop"})
    (folder / "scores.json").write_text(json.dumps(PagesAsked(parts=parts).in_percent()))
    (folder / "schema.yaml").write_text(SCHEMA.text())
    manifest(folder, "evaluate", found.plain())
    return folder


def manifest(folder: Path, step: str, metrics: dict[str, Any]) -> None:
    values = {"step": step, "fingerprint": "f" * 32, "settings": {}, "inputs": {}, "plan": {}}
    marks = {name: mark.model_dump() for name, mark in file_marks(folder).items()}
    (folder / "manifest.json").write_text(json.dumps({**values, "metrics": metrics, "files": marks}))


def test_runs_baseline_and_pages_are_collected(tmp_path: Path) -> None:
    base = evaluation(tmp_path / "base", {"test": "no", "ood": "no"})
    known = evaluation(tmp_path / "a", {"ood": '{"currency":"EUR"}'})
    asked = [
        AskedPages(known, "60 examples", "tuned", 60, 0),
        AskedPages(known, "60 examples", "tuned", 60, 1),
        AskedPages(base, "untouched base", "base"),
    ]
    taught = [fact.object for fact in FACTS if fact.part == "train"]
    found = collect_attributes(asked, taught)
    assert found is not None
    assert [system.name for system in found.systems] == ["most frequent value", "untouched base", "60 examples"]
    frequent, untouched, tuned = found.systems
    assert [one.macro.value for one in tuned.test if one.macro] == [1.0, 1.0] and [one.seed for one in tuned.test] == [
        0,
        1,
    ]
    untold, none = untouched.test[0].invalid, untouched.test[0].macro
    assert untold is not None and untold.value == 1.0 and none is not None and none.value == 0.0
    stock = [json.loads(fact.object)["availability"] for fact in list(FACTS.part("test"))[:12]]
    guessed = frequent.test[0].by_attribute
    known, title = guessed["availability"].accuracy, guessed["title"].accuracy
    assert known is not None and known.value == pytest.approx(stock.count("InStock") / len(stock))
    assert title is not None and title.value == 0.0
    assert found.names == list(SCHEMA.names)


def test_pages_to_read_have_the_true_values_where_they_stand(tmp_path: Path) -> None:
    wrong = '{"brand":"Nobody","availability":"InStock"}'
    asked = [
        AskedPages(evaluation(tmp_path / "base", {"test": "no", "ood": "no"}), "untouched base", "base"),
        AskedPages(evaluation(tmp_path / "tuned", {"ood": wrong}), "60 examples", "tuned", 60),
    ]
    found = collect_attributes(asked)
    assert found is not None
    by_part = {page.part: page for page in found.examples}
    assert set(by_part) == {"test", "ood"}
    known, new = by_part["test"], by_part["ood"]
    assert known.models == ["untouched base", "60 examples"]
    for page, kind in ((known, "found"), (new, "missed")):
        value = next(one for one in page.values if one.attribute == "brand")
        span = next(one for one in page.spans if one.attribute == "brand")
        assert span.kind == kind and page.prompt[span.start : span.end].casefold() == value.truth[0].casefold()
        assert value.given[0] is None
    assert {span.kind for span in known.spans} == {"found"}
    assert len(known.spans) == sum(bool(value.truth) for value in known.values)


def test_of_a_long_page_the_first_characters_are_kept_and_no_span_beyond(tmp_path: Path) -> None:
    asked = [*list(FACTS.part("test"))[:12], *list(FACTS.part("ood"))[:6]]
    pages = FactSet(tuple(replace(fact, question="x " * 3_990 + fact.question) for fact in asked), "long")
    found = collect_attributes([AskedPages(evaluation(tmp_path / "a", {}, pages), "m")])
    assert found is not None
    for page in found.examples:
        assert len(page.prompt) == 8_000 and page.left_out > 0
        assert len(page.spans) < len(page.values)


def test_evaluations_and_scored_baselines_make_a_report(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "before", {"test": "no", "ood": "no"})
    second = evaluation(tmp_path / "after", {})
    alone = evaluation(tmp_path / "schema-org", {"test": '{"currency":"EUR"}', "ood": "no"})
    (alone / "outputs.parquet").unlink()
    values = pl.read_parquet(alone / "values.parquet").with_columns(part=pl.lit("test"))
    values.write_parquet(alone / "values.parquet")  # a score step knows no parts
    manifest(alone, "score", {"sources": {"truth": "truth.json"}})
    found = report_results([first, second, alone])
    read = found.of(Attributes)
    assert read is not None
    names = [system.name for system in read.systems]
    assert sorted(names[:2]) == ["most frequent value", "schema-org"] and names[2:] == ["before", "after"]
    alone_system = next(system for system in read.systems if system.name == "schema-org")
    assert alone_system.test[0].pages == 12 and alone_system.ood[0].pages == 6
    html = render(found)
    assert "What is read from pages" in html and "macro, after" in html


def test_what_cannot_be_reported_is_refused(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "before", {})
    with pytest.raises(InputError, match="is none"):
        report_results([first, tmp_path])
    with pytest.raises(InputError, match="no such file"):
        report_results([tmp_path / "nothing"])
    assert collect_attributes([AskedPages(tmp_path, "nothing")]) is None
