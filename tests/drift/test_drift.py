import json
import shutil

import polars as pl
import pytest

from helpers_models import nudged
from recollect.drift import BaseSide, DriftSettings, run_drift
from recollect.drift.compare import TokensFound
from recollect.drift.run import DriftFound, DriftResult
from recollect.errors import InputError, StepError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import Fact, FactSet, load_facts
from recollect.probe import ProbeSettings, run_probe
from recollect.shipped import SHIPPED


@pytest.fixture(scope="module")
def facts():
    """Eight facts of each part for three relations in and two out of the domain."""
    everything = load_facts("pocket")
    chosen: list[Fact] = []
    for part, relation in (("test", "P36"), ("test", "P17"), ("test", "P495"), ("ood", "P413"), ("ood", "P50")):
        chosen += [fact for fact in everything if (fact.part, fact.relation) == (part, relation)][:8]
    return FactSet(tuple(chosen), "few")


@pytest.fixture(scope="module")
def probe(facts, tmp_path_factory):
    settings = ProbeSettings(method="closed-form", templates=4)
    return run_probe(settings, facts, tmp_path_factory.mktemp("probe") / "probe").path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    return nudged(tmp_path_factory.mktemp("tuned") / "model", "pocket", by=0.02)


@pytest.fixture(scope="module")
def result(facts, probe, tuned, tmp_path_factory) -> DriftResult:
    settings = DriftSettings(levels=probe, text_tokens=600)
    return run_drift(settings, "pocket", tuned, facts, out=tmp_path_factory.mktemp("drift") / "drift")


def test_the_base_has_not_drifted_from_itself(facts, probe, tmp_path):
    settings = DriftSettings(levels=probe, text_tokens=300)
    found = run_drift(settings, "pocket", str(SHIPPED["pocket"].model), facts, out=tmp_path / "drift").found
    for kind in (found.tokens.answers, found.tokens.general):
        assert kind.forward.max == kind.backward.max == 0
        assert kind.forward.same_top == 1
        assert kind.tuned_loss == kind.base_loss
    assert found.kl_full == 0
    assert found.unchanged == 1 and found.one_ulp == 0
    assert found.tokens.known.tuned == found.tokens.known.base
    assert found.kl_paper > 0  # its two prompts differ, so even an untouched model is not at zero


def test_a_nudged_model_has_drifted_and_the_floor_is_far_below(result):
    found = result.found.tokens
    for kind in (found.answers, found.general):
        assert kind.forward.mean > 1000 * kind.floor.max
        assert 0 < kind.forward.median <= kind.forward.p90 <= kind.forward.max
    assert result.found.kl_full == found.answers.forward.mean
    assert found.general.tuned_loss != found.general.base_loss


def test_the_tables_hold_what_the_numbers_are_made_of(result, facts):
    tokens = result.tokens()
    answers = tokens.filter(pl.col("text") == "answers")
    assert set(answers["fact_id"]) == {fact.id for fact in facts}
    assert answers["forward"].mean() == pytest.approx(result.found.kl_full)
    assert tokens.filter(pl.col("text") == "general").height >= 600
    assert tokens["forward"].min() >= 0 and tokens["backward"].min() >= 0
    first = result.first_tokens()
    assert first["kl"].mean() == pytest.approx(result.found.kl_paper)
    assert first["tuned"].list.sum().to_list() == pytest.approx([1] * first.height)
    assert set(first["fact_id"]) <= {fact.id for fact in facts.part("test")}
    by_level = result.found.tokens.answers.by_level
    assert sum(level.n for level in by_level.values()) == answers.filter(pl.col("part") == "test").height


def test_the_answer_for_other_programs_has_the_promised_names(result):
    summary = result.found.plain()
    assert {"kl_paper", "kl_full", "share_top", "unchanged", "one_ulp"} <= set(summary)
    assert {"1", "20"} <= set(summary["share_top"])
    assert 0 < summary["share_top"]["1"] < summary["share_top"]["20"] <= 1


def test_the_chunk_does_not_change_the_result(result, facts, probe, tuned, tmp_path):
    settings = DriftSettings(levels=probe, text_tokens=600, chunk=100)
    other = run_drift(settings, "pocket", tuned, facts, out=tmp_path / "drift")
    for name in ("forward", "backward"):
        assert (other.tokens()[name] - result.tokens()[name]).abs().max() <= 1e-6


def test_without_a_probe_the_studys_kl_is_missing_and_a_note_says_why(facts, tuned, tmp_path):
    found = run_drift(DriftSettings(text_tokens=100), "pocket", tuned, facts, out=tmp_path / "drift")
    assert found.found.kl_paper is None and found.found.kl_full > 0
    assert any("--levels" in note for note in found.found.notes)
    assert found.found.tokens.known is None


def test_without_tokens_no_model_is_run(tuned, tmp_path, monkeypatch):
    for side in ("load_base", "load_tuned"):
        monkeypatch.setattr(f"recollect.drift.compare.{side}", lambda *_: pytest.fail("a model was loaded"))
    found = run_drift(DriftSettings(tokens=False), "pocket", tuned, out=tmp_path / "drift").found
    assert found.kl_full is None and found.tokens == TokensFound()
    assert 0 <= found.unchanged < 1


def test_a_probe_of_another_model_is_refused(facts, probe, tuned, tmp_path):
    with pytest.raises(InputError, match="another model"):
        run_drift(DriftSettings(levels=probe), tuned, "pocket", facts, out=tmp_path / "drift")
    assert not (tmp_path / "drift").exists()


def test_other_templates_than_those_of_the_probe_are_refused(facts, probe, tuned, tmp_path):
    (tmp_path / "own.yaml").write_text("P36: ['[X] is governed from', 'Capital of [X]:', '[X],', 'Of [X]']\n")
    settings = DriftSettings(levels=probe, template_file=str(tmp_path / "own.yaml"))
    with pytest.raises(InputError, match="--template-file"):
        run_drift(settings, "pocket", tuned, facts, out=tmp_path / "drift")


def test_facts_without_a_test_part_are_refused(tuned, tmp_path):
    only = FactSet((Fact("P36", "Ulm", "Oslo", "What is the capital of Ulm?"),), "train only")
    with pytest.raises(InputError, match="no test or ood fact"):
        run_drift(DriftSettings(), "pocket", tuned, only, out=tmp_path / "drift")


def test_another_tokenizer_is_refused(facts, tuned, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(tuned, folder)
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:100]
    file.write_text(json.dumps(tokenizer))
    with pytest.raises(InputError, match="tokenizers"):
        run_drift(DriftSettings(text_tokens=100), "pocket", str(folder), facts, out=tmp_path / "drift")


def test_the_same_command_finds_the_step_and_another_is_refused(result, facts, probe, tuned, tmp_path):
    again = run_drift(DriftSettings(levels=probe, text_tokens=600), "pocket", tuned, facts, out=result.path)
    assert again.found == result.found
    with pytest.raises(StepError, match="text_tokens"):
        run_drift(DriftSettings(levels=probe, text_tokens=5), "pocket", tuned, facts, out=result.path)


def test_a_base_read_once_gives_what_a_base_read_anew_gives(result, facts, probe, tuned, tmp_path, monkeypatch):
    settings, side = DriftSettings(levels=probe, text_tokens=600), BaseSide()
    run_drift(settings, "pocket", str(SHIPPED["pocket"].model), facts, out=tmp_path / "first", base_side=side)
    monkeypatch.setattr("recollect.drift.compare.load_base", lambda *_: pytest.fail("the base was read again"))
    again = run_drift(settings, "pocket", tuned, facts, out=tmp_path / "second", base_side=side)
    assert again.found.model_copy(update={"seconds": 0}) == result.found.model_copy(update={"seconds": 0})


def test_a_kept_base_is_not_used_for_other_texts(facts, probe, tuned, tmp_path):
    side = BaseSide()
    few = DriftSettings(levels=probe, text_tokens=300)
    run_drift(few, "pocket", tuned, facts, out=tmp_path / "few", base_side=side)
    longer = DriftSettings(levels=probe, text_tokens=600)
    more = run_drift(longer, "pocket", tuned, facts, out=tmp_path / "more", base_side=side)
    assert more.found.tokens.general.forward.n >= 600


def test_no_more_than_limit_known_facts_of_a_part_are_asked(facts, probe, tuned, tmp_path):
    found = run_drift(DriftSettings(levels=probe, limit=2, text_tokens=100), "pocket", tuned, facts, out=tmp_path / "d")
    known = pl.read_parquet(found.path / "known.parquet")
    assert 0 < known.filter(model="base").height <= 4


def test_drift_compares_on_the_facts_that_an_evaluation_asks(facts, tuned, tmp_path):
    limited = {"limit": 5, "seed": 3}
    found = run_drift(DriftSettings(text_tokens=60, **limited), "pocket", tuned, facts, out=tmp_path / "drift")
    compared = found.tokens().filter(pl.col("text") == "answers")["fact_id"].unique(maintain_order=True)
    settings = EvaluateSettings(model=tuned, max_new_tokens=1, **limited)
    asked = run_evaluate(settings, facts, out=tmp_path / "evaluate").outputs()["fact_id"]
    assert asked.to_list() == compared.to_list() and len(asked) == 10


def test_what_an_earlier_version_found_is_read():
    """It kept an accuracy in percent as {accuracy, low, high, n}, and left out what was not measured."""
    spread = {"n": 3, "mean": 0.2, "se": 0.1, "median": 0.1, "p90": 0.3, "p99": 0.4, "p99_9": 0.4, "max": 0.5}
    kind = {
        "forward": {**spread, "same_top": 0.9},
        "backward": spread,
        "floor": spread,
        "tuned_loss": 1,
        "base_loss": 2,
    }
    shares = {"share_top": {"1": 0.5}, "unchanged": 0.1, "one_ulp": 0.2}
    parameters = {
        **shares,
        "region": "mlp",
        "of": 9,
        "share_top_absolute": {"1": 0.1},
        "norm_base": 1,
        "norm_change": 2,
    }
    known = {"tuned": {"accuracy": 50.0, "low": 25.0, "high": 75.0, "n": 4}, "base": None}
    tokens = {"answers": {**kind, "by_level": {"4": spread}}, "first_tokens": {**spread, "mean": 0.7}, "known": known}
    rest = {"notes": ["a"], "warnings": [], "seconds": 1.0}
    found = DriftFound.model_validate(
        {"kl_paper": 0.7, "kl_full": 0.2, **shares, "parameters": parameters, "tokens": tokens, **rest}
    )
    assert (found.kl_paper, found.kl_full, found.share_top, found.unchanged) == (0.7, 0.2, {"1": 0.5}, 0.1)
    assert found.tokens.known.tuned.percent == (50, 25, 75) and found.tokens.known.tuned.n == 4
    assert found.tokens.known.base is None and found.tokens.general is None
    assert found.tokens.answers.by_level["4"].mean == 0.2
    bare = {"kl_paper": None, "kl_full": None, **shares, "parameters": parameters, "tokens": {}, **rest}
    assert DriftFound.model_validate(bare).tokens == TokensFound()
    assert DriftFound.model_validate(found.plain()) == found
