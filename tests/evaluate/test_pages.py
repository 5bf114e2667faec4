"""Evaluation on pages: answers in JSON are scored by attribute."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from helpers_label import few_pages
from recollect.evaluate import EvaluateFound, EvaluateSettings, run_evaluate
from recollect.evaluate.pages import for_pages, page_scores, page_task
from recollect.extraction.labels import LabelSettings, run_label
from recollect.extraction.values import PageScores
from recollect.facts import Fact, FactSet, load_facts


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A label step with three train pages, one test page and one of a new shop; `sku` has two true values."""
    few_pages(tmp_path / "pages")
    truth = {f"p{n}": {"brand": f"Acme{n}", "price": f"{n + 10}.50", "sku": [f"A-{n}7", f"B{n}"]} for n in range(5)}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    settings = LabelSettings.make(pages=tmp_path / "pages", source="table", table=tmp_path / "truth.json")
    return run_label(settings, out=tmp_path / "label").path


def shares(found: PageScores) -> tuple[float, float]:
    """Macro, and answers that are no JSON object."""
    assert found.macro is not None and found.invalid is not None
    return found.macro.value, found.invalid.value


def settings_for(label: Path, **more: object) -> EvaluateSettings:
    return EvaluateSettings.make(model="unused", facts=str(label), **more)


def test_the_task_comes_from_the_label_step(labelled: Path) -> None:
    facts = load_facts(str(labelled))
    task = page_task(settings_for(labelled), facts)
    assert task is not None and "sku" in task.schema.names
    assert set(task.asked) == {fact.id for fact in facts}


def test_facts_of_other_kinds_are_no_pages(facts: FactSet) -> None:
    assert page_task(EvaluateSettings.make(model="x"), facts) is None
    other = FactSet((Fact("qa", "s", '{"colour":"red"}', "q", split="test"),))
    assert page_task(EvaluateSettings.make(model="x"), other) is None
    mixed = FactSet((Fact("qa", "s", '{"brand":"x"}', "q"), Fact("qa", "t", "{no json", "r")))
    assert page_task(EvaluateSettings.make(model="x"), mixed) is None


def test_answers_are_judged_against_every_true_value(labelled: Path) -> None:
    facts = load_facts(str(labelled))
    task = page_task(settings_for(labelled), facts)
    assert task is not None
    asked = [*facts.part("test"), *facts.part("ood")]
    outputs = {
        asked[0].id: ' {"brand":"ACME3","price":"13,50 €","sku":"b3"}',
        asked[1].id: '{"brand":"Acme4","price":"1","sku":"A47"',
    }
    values, plain = page_scores(task, asked, outputs, "plain")
    assert shares(plain["test"]) == (1.0, 0.0) and shares(plain["ood"]) == (0.0, 1.0)
    _, repaired = page_scores(task, asked, outputs, "repaired")
    assert shares(repaired["ood"]) == (pytest.approx(2 / 3), 0.0)
    assert values.filter(pl.col("group") == "sku")["truth"].to_list() == [["A-37", "B3"], ["A-47", "B4"]]


def test_the_default_length_of_an_answer_is_the_pages_own(labelled: Path) -> None:
    assert for_pages(settings_for(labelled)).max_new_tokens == 256
    assert for_pages(settings_for(labelled, max_new_tokens=9)).max_new_tokens == 9


def test_decode_changes_the_fingerprint_only_when_it_changes_the_tables(labelled: Path) -> None:
    plain, repaired = (settings_for(labelled, decode=name).fingerprint_values() for name in ("plain", "repaired"))
    assert "decode" not in plain and repaired["decode"] == "repaired"


def test_a_model_is_asked_and_its_tables_lie_in_the_step(base_folder: Path, labelled: Path, tmp_path: Path) -> None:
    settings = EvaluateSettings.make(
        model=str(base_folder), facts=str(labelled), max_new_tokens=12, parts="test,ood", decode="repaired"
    )
    result = run_evaluate(settings, out=tmp_path / "evaluation")
    found = result.found.pages
    assert found is not None
    assert shares(found.parts["test"]) == (0.0, 1.0)  # random weights write no JSON
    assert found.parts["ood"].n == 3 and found.repaired.keys() == {"test", "ood"}
    answer = json.loads((result.path / "scores.json").read_text())
    assert answer["macro"] == 0.0 and answer["ood"]["invalid"] == answer["repaired"]["invalid"] == 100.0
    old = EvaluateFound.model_validate({**answer, "notes": [], "sources": {}})  # as older versions have it
    assert old.pages is not None and old.pages.parts.keys() == found.parts.keys()
    assert shares(old.pages.parts["test"]) == (0.0, 1.0) and shares(old.pages.repaired["ood"]) == shares(
        found.repaired["ood"]
    )
    items = result.items()
    assert items is not None and items.columns == ["item", "unit", "group", "right", "part"]
    assert sorted(items["group"].unique()) == ["brand", "price", "sku"] and items.height == 6
    assert result.outputs().height == 2
    assert run_evaluate(settings, out=tmp_path / "evaluation").found.pages == found


def test_facts_as_ever_have_no_items(base_folder: Path, facts: FactSet, tmp_path: Path) -> None:
    settings = EvaluateSettings.make(model=str(base_folder), limit=2, max_new_tokens=2)
    result = run_evaluate(settings, facts, out=tmp_path / "evaluation")
    assert result.items() is None and result.found.pages is None and set(result.found.accuracy) == {"test", "ood"}
