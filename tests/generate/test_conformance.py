"""The suite that every engine must pass: the two there are pass it. Engines that do not are in test_faulty_engines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from enumerable import load_small
from recollect.core.workspace import read_manifest
from recollect.engines import ENGINES
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import Fact, FactSet
from recollect.generate import Ask, Drawn, Sampling, TransformersEngine
from recollect.generate.conformance import NotConforming, check_engine
from recollect.generate.engine import Decided
from recollect.probe import ProbeFound, ProbeSettings, SlickSettings, run_probe, run_slick
from table_engine import TABLE, TableEngine, find_table, truth_of_table


def test_the_transformers_engine_conforms(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    check_engine(TransformersEngine(small.loaded), small.truth)


def test_a_table_without_torch_conforms() -> None:
    check_engine(TableEngine(TABLE), truth_of_table())


class Consumed(TableEngine):
    """Its draws come from one stream, so that they hang on what was drawn before; it does not say so."""

    taken = 0

    def sample(self, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        self.taken += 1
        return super().sample([Ask(ask.prompt, f"{ask.name} {self.taken}", ask.number, ask.draws) for ask in asks], how)


class Honest(Consumed):
    draws_are_addressed = False


def test_a_stream_of_draws_conforms_only_where_it_is_called_one() -> None:
    with pytest.raises(NotConforming, match="draws hang on the order"):
        check_engine(Consumed(TABLE), truth_of_table())
    check_engine(Honest(TABLE), truth_of_table())


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(ENGINES, "table", find_table)
    (tmp_path / "table.json").write_text(json.dumps(TABLE), encoding="utf-8")
    (tmp_path / "t.yaml").write_text('R: ["c [X]", "[X] d"]\n', encoding="utf-8")
    return str(tmp_path / "table.json")


def facts() -> FactSet:
    return FactSet(tuple(Fact("R", x, y, f"what of {x}", split="test") for x in "abcd" for y in "abcd" if x != y))


def settings_of(table: str, **values: object) -> ProbeSettings:
    file = str(Path(table).with_name("t.yaml"))
    return ProbeSettings.make(
        **{"engine": "table", "model": table, "template_file": file, "templates": 2, "max_new_tokens": 3, **values}
    )


def test_probe_slick_and_evaluation_run_with_the_toy_engine(table: str, tmp_path: Path) -> None:
    sampled = run_probe(settings_of(table, method="sampled", samples=500), facts(), tmp_path / "s")
    closed = run_probe(settings_of(table, method="closed-form"), facts(), tmp_path / "c")
    at_once = {fact.id: (TABLE[fact.subject].get(fact.object, 0) ** (1 / 0.7), fact) for fact in facts()}
    for row in closed.levels.iter_rows(named=True):
        subject = at_once[row["fact_id"]][1].subject
        first = [TABLE[word].get(row["object"], 0.0) ** (1 / 0.7) for word in (subject, "d")]
        whole = [sum(value ** (1 / 0.7) for value in TABLE[word].values()) for word in (subject, "d")]
        assert row["score"] == pytest.approx(sum(a / b for a, b in zip(first, whole, strict=True)) / 2)
    both = sampled.levels.join(closed.levels, on="fact_id", suffix="_at_once")
    assert both.filter(pl.col("score") < pl.col("score_at_once") - 0.1).is_empty()
    assert sampled.found.self_test_p is None and sampled.found.notes == []
    graded = run_slick(
        SlickSettings.make(engine="table", model=table, prompts=2, shots=1, samples=4), facts(), tmp_path / "g"
    )
    assert sum(graded.found.categories.values()) == 12
    asked = run_evaluate(
        EvaluateSettings.make(
            engine="table", model=table, parts="test", max_new_tokens=1, prompt_template="{question}"
        ),
        facts(),
        out=tmp_path / "e",
    )
    best = {word: max(row, key=lambda one: row[one]) for word, row in TABLE.items()}
    for row in asked.outputs().iter_rows(named=True):
        assert row["output"].strip() == best[row["question"][-1]]
    assert read_manifest(asked.path).settings["engine"] == "table"


def test_hybrid_is_refused_where_the_engine_cannot_exclude(table: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"engine 'table' cannot. Take --method auto"):
        run_probe(settings_of(table, method="hybrid"), facts(), tmp_path / "p")
    assert not (tmp_path / "p").exists()
    found = run_probe(settings_of(table, pilot=8), facts(), tmp_path / "p").found
    assert found.choice is not None
    assert {one.way for one in found.choice.candidates} == {"closed-form", "sampled", "adaptive"}


@pytest.mark.parametrize("method", ["sampled", "closed-form"])  # the latter's examples are draws
def test_a_probe_says_that_its_draws_are_not_addressed(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(TableEngine, "draws_are_addressed", False)
    run_probe(settings_of(table, method=method), facts(), tmp_path / "p")
    [note] = ProbeFound.read(tmp_path / "p").notes
    assert note.startswith("The engine 'table' does not address its draws")


def test_an_engine_that_cannot_take_a_model_in_memory_asks_no_other_in_its_place(table: str, tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    with pytest.raises(InputError, match="the engine 'table' asks the model .*table.json, but the one in memory has"):
        run_probe(settings_of(table, method="sampled"), facts(), tmp_path / "p", loaded=small.loaded)
    same = replace(small.loaded, fingerprint=find_table(settings_of(table), None).fingerprint)
    assert run_probe(settings_of(table, method="sampled"), facts(), tmp_path / "p", loaded=same).levels.height == 12


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(
        InputError, match="engine: must be one of auto, transformers, vllm, completions, but got 'abacus'"
    ):
        ProbeSettings.make(engine="abacus")


def test_the_toy_engine_needs_no_torch() -> None:
    here = Path(__file__).resolve().parents[1]
    code = (
        f"import sys; sys.modules['torch'] = None; sys.path.insert(0, {str(here)!r})\n"
        "from table_engine import TableEngine\n"
        "engine = TableEngine({'a': {'b': 1.0}, 'b': {'': 1.0}})\n"
        "assert engine.greedy(engine.encode(['a']), 5) == [[2]]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
