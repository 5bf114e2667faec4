"""The split as a step: on a model small enough to enumerate, resumed after a kill, and refused where it cannot be."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from enumerable import facts, load_small
from recollect.core.workspace import read_manifest
from recollect.core.workspace.manifest import PARTIAL
from recollect.errors import InputError
from recollect.facts import Fact, FactSet
from recollect.generate import TransformersEngine
from recollect.hidden import HiddenSettings, run_hidden
from recollect.hidden.pools import make_pools
from recollect.hidden.prefer import preferences
from recollect.probe import ProbeSettings, run_probe

TEMPLATES = "R:\n  - '[X] a'\n  - '[X] b'\n"


def levels(known: FactSet, zero: int) -> pl.DataFrame:
    return pl.DataFrame({"fact_id": [fact.id for fact in known], "level": [0] * zero + [3] * (len(known) - zero)})


def settings(folder: Path, **more: object) -> HiddenSettings:
    (folder / "templates.yaml").write_text(TEMPLATES)
    given = {"templates": 2, "candidates": 8, "subjects": 3, "fdr": 0.6, **more}
    return HiddenSettings.make(model=str(folder / "model"), template_file=folder / "templates.yaml", **given)


def test_preferences_are_the_models_own_probabilities(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    engine = TransformersEngine(small.loaded)
    said, logs = preferences(engine, [["a", "b a"]], [("a",), ("b c", "b")], ["one"], 1.0)
    truth = [
        [[math.exp(sum(values)) for values in row] for row in engine.score([ids], [paths])]
        for ids, paths in [
            (engine.encode(["a"])[0], [engine.encode_answers(["a"], [form])[0][1] for form in ("a", "b")]),
            (engine.encode(["b a"])[0], [engine.encode_answers(["b a"], [form])[0][1] for form in ("a", "b")]),
        ]
    ]
    flat = np.array([one[0] for one in truth])  # "b c" starts with "b" and adds nothing
    assert said[0] == pytest.approx(flat.mean(axis=0), rel=1e-4)
    assert logs[0] == pytest.approx(np.log(flat).mean(axis=0), rel=1e-4)


def test_a_run_splits_the_facts_of_level_0_alone_and_repeats_itself(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    known = facts(12)
    one = run_hidden(settings(tmp_path), known, levels(known, 7), tmp_path / "one", loaded=small.loaded)
    two = run_hidden(settings(tmp_path), known, levels(known, 7), tmp_path / "two", loaded=small.loaded)
    assert one.facts.equals(two.facts)
    assert one.facts["fact_id"].to_list() == [fact.id for fact in known.facts[:7]]
    found = one.found
    assert (found.level_0, found.hidden + found.absent + found.undecided) == (7, 7)
    assert one.facts["label"].value_counts().sum().item(0, "count") == 7
    assert one.facts["candidates"].to_list() == [3] * 7  # four words, one of them right
    assert found.share is not None
    assert found.share.n == 7
    assert one.facts["in_subject"].to_list() == [fact.object in fact.subject for fact in known.facts[:7]]
    assert one.facts.select((pl.col("low") < pl.col("high")).all()).item()


def test_a_killed_run_resumes_at_its_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_small(tmp_path / "model")
    known = facts(12)
    whole = run_hidden(settings(tmp_path), known, levels(known, 9), tmp_path / "whole", loaded=small.loaded)
    monkeypatch.setattr("recollect.hidden.step._PROMPTS_AT_ONCE", 4)
    asked: list[int] = []
    real = preferences

    def counted(*given: object) -> object:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(1)
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("recollect.hidden.step.preferences", counted)
    with pytest.raises(KeyboardInterrupt):
        run_hidden(settings(tmp_path), known, levels(known, 9), tmp_path / "cut", loaded=small.loaded)
    assert len(list((tmp_path / f"cut{PARTIAL}" / "parts").iterdir())) == 2
    asked.clear()
    monkeypatch.setattr("recollect.hidden.step.preferences", lambda *given: (asked.append(1), real(*given))[1])  # type: ignore[arg-type]
    again = run_hidden(settings(tmp_path), known, levels(known, 9), tmp_path / "cut", loaded=small.loaded)
    assert len(asked) == 3  # nine subjects, two at once: two of the five batches were there
    assert again.facts.drop("gain", "p_value").equals(whole.facts.drop("gain", "p_value"))
    assert again.facts["gain"].to_numpy() == pytest.approx(whole.facts["gain"].to_numpy(), abs=1e-5)


def test_aliases_are_one_answer_and_no_candidates_of_each_other() -> None:
    known = [
        Fact("R", "a", "New York", "a", synonyms=("NYC",)),
        Fact("R", "b", "nyc", "b"),
        Fact("R", "c", "New York City", "c"),
        Fact("R", "d", "Rome", "d"),
    ]
    pool = make_pools(known, known, known, HiddenSettings.make())[0]
    assert pool.right == [0, 0, 1, 2]
    assert pool.counts == [2, 1, 1]
    assert pool.same().tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_progress_counts_the_answers_of_a_subject(tmp_path: Path) -> None:
    """A relation of many answers takes long, so its subjects are more of the work."""
    small = load_small(tmp_path / "model")
    two = [Fact("S", f"{x} {x}", y, "s", synonyms=("d d",) if y == "c" else ()) for x, y in (("a", "b"), ("b", "c"))]
    known = FactSet((*facts(8), *two))
    given = settings(tmp_path)
    (tmp_path / "templates.yaml").write_text(TEMPLATES + TEMPLATES.replace("R:", "S:"))
    pools = make_pools(known.facts, known.facts, known.facts, given)
    seen: list[tuple[int, int]] = []
    run_hidden(
        given, known, levels(known, 10), tmp_path / "one",
        progress=lambda *now: seen.append(now), loaded=small.loaded,
    )  # fmt: skip
    assert [len(pool.rows) for pool in pools] == [8, 2]
    assert seen == [
        (0, 38),
        (8 * 4, 38),
        (8 * 4 + 2 * 3, 38),
    ]  # four words, all at once; two answers, one with another form


def test_other_subjects_are_of_level_0_first() -> None:
    known = facts(12).facts
    pool = make_pools(known[:2], known[:4], known, HiddenSettings.make(subjects=5))[0]
    assert pool.asked == 2
    assert set(pool.rows[:4]) == set(known[:4])
    assert len(pool.rows) == 5


def test_without_level_0_levels_or_the_same_model_it_is_refused(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    known = facts(12)
    with pytest.raises(InputError, match="nothing to split"):
        run_hidden(settings(tmp_path), known, levels(known, 0), tmp_path / "one", loaded=small.loaded)
    with pytest.raises(InputError, match="levels are needed"):
        run_hidden(settings(tmp_path), known, None, tmp_path / "one", loaded=small.loaded)
    assert not (tmp_path / "one").exists()


def test_the_draws_are_those_of_the_probe_and_another_models_levels_are_refused(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    other = load_small(tmp_path / "other", seed=1)
    known = facts(12)
    asked = {"template_file": tmp_path / "templates.yaml", "templates": 2, "samples": 1, "max_new_tokens": 1}
    (tmp_path / "templates.yaml").write_text(TEMPLATES)
    probe = run_probe(
        ProbeSettings.make(model=str(tmp_path / "model"), method="sampled", **asked),
        *(known, tmp_path / "probe"),
        loaded=small.loaded,
    )
    assert probe.found.levels["0"] > 0
    given = settings(tmp_path, levels=probe.path)
    run_hidden(given, known, out=tmp_path / "one", loaded=small.loaded)
    assert read_manifest(tmp_path / "one").settings["draws"] == 2
    strange = given.model_copy(update={"model": str(tmp_path / "other")})
    with pytest.raises(InputError, match="Probe this model"):
        run_hidden(strange, known, out=tmp_path / "two", loaded=other.loaded)
