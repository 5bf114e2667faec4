"""Every public name has a short example in its docstring, and each of them runs."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import polars as pl
import pytest

import recollect
from recollect import (
    FactsSettings,
    PagesSettings,
    ProbeSettings,
    SelectSettings,
    StudySettings,
    TrainSettings,
    load_facts,
    run_facts,
    run_pages,
    run_probe,
    run_select,
    run_study,
    run_train,
)
from recollect.steps import public_names

SKIPPED = {"run_pocket": "builds a base model from nothing, which takes minutes"}
"""Names whose example is shown and not run, and why; at most three."""
LAMP = """<html><head><title>Lamp {i}</title><script type="application/ld+json">
{{"@type": "Product", "name": "Lamp {i}", "sku": "BL-7{i}", "brand": {{"@type": "Brand", "name": "Lumo"}},
  "offers": {{"@type": "Offer", "price": "4{i}.90", "priceCurrency": "EUR"}}}}
</script></head><body><h1>Lamp {i}</h1><p>Brand: Lumo. Price: 4{i}.90 EUR.</p></body></html>"""

Given = dict[str, object]


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """What examples name without making it: folders of small finished steps, HTML pages, and a few facts."""
    top = tmp_path_factory.mktemp("given")
    facts = load_facts("pocket")
    rows = [(fact.question, fact.object, fact.relation, fact.subject, fact.part) for fact in tuple(facts)[::80]]
    columns = ["question", "object", "relation", "subject", "split"]
    pl.DataFrame(rows, schema=columns, orient="row").write_csv(top / "few.csv")
    few = run_facts(FactsSettings.make(path=str(top / "few.csv"), name="few"), top / "few").path
    lamps = top / "lamps"
    lamps.mkdir()
    for i in (1, 2, 3):
        (lamps / f"{i}.html").write_text(LAMP.format(i=i), encoding="utf-8")
    probe = run_probe(ProbeSettings.make(limit=60, templates=2), facts, top / "probe").path
    sampled = ProbeSettings.make(method="sampled", limit=20, templates=2, samples=2)
    chosen = run_select(SelectSettings.make(size=8, level="random"), facts, out=top / "chosen").path
    tuned = run_train(TrainSettings.make(preset="pocket", max_steps=2), chosen, out=top / "tuned").path
    study = StudySettings.make(
        facts=str(few),
        sizes=(4,),
        choices=("random",),
        repeats=1,
        measure_drift=False,
        repair=(),
        probe={"templates": 1},
        train={"preset": "pocket", "max_steps": 1},
    )
    return {
        "few": few,
        "lamps": lamps,
        "probe": probe,
        "sampled": run_probe(sampled, facts, top / "sampled").path,
        "chosen": chosen,
        "tuned": tuned,
        "study": run_study(study, top / "study").path,
        "pages": run_pages(PagesSettings.make(path=str(lamps)), top / "pages").path,
    }


@pytest.mark.parametrize("name", public_names())
def test_the_example_runs(name: str, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = inspect.cleandoc(getattr(recollect, name).__doc__ or "")
    assert "\n\nExamples:\n" in text, f"{name} has no example: end its docstring with one, under 'Examples:'"
    example = doctest.DocTestParser().get_doctest(text, given.copy(), name, None, None)
    assert example.examples, f"{name} has an example without a line '>>> '"
    skipped = [line for line in example.examples if line.options.get(doctest.SKIP)]
    assert bool(skipped) == (name in SKIPPED), f"{name}: list in SKIPPED, with the reason, what is not run"
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)


def test_few_examples_are_not_run() -> None:
    assert len(SKIPPED) <= 3
    assert public_names().keys() >= SKIPPED.keys()
