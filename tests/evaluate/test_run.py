import shutil

import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from recollect.errors import InputError, ModelError, StepError
from recollect.evaluate import EvaluateSettings, rescore_answers, run_evaluate
from recollect.facts import Fact, FactSet
from recollect.generate import TransformersEngine
from recollect.match import MATCHERS
from recollect.models import ModelSettings, load
from recollect.prompt import encode_prompt
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train


class Stop(Exception):
    """What takes the place of a kill inside the process."""


def settings(base_folder, **values):
    return EvaluateSettings(model=str(base_folder), **values)


@pytest.fixture(scope="module")
def taught(base_folder, facts, tmp_path_factory):
    """A model that was taught ten facts by heart."""
    root = tmp_path_factory.mktemp("taught")
    chosen = run_select(SelectSettings(size=10, level="random"), facts, root=root)
    how = TrainSettings(model=str(base_folder), learning_rate=1e-2, epochs=120, batch_size=10)
    return run_train(how, chosen.path, root=root).path, chosen.facts


def test_facts_learnt_by_heart_are_answered_and_scored_right(taught, tmp_path):
    model, learnt = taught
    result = run_evaluate(settings(model, parts="train"), learnt, root=tmp_path)
    outputs = result.outputs()
    assert outputs["output"].to_list() == [f" {fact.object}" for fact in learnt]
    assert outputs["contains"].all()
    assert outputs["word"].all()
    assert result.found.accuracy["train"].micro.value == 1
    # the test part was not asked, so the part that was is at the top and says so
    assert (result.found.part, result.found.accuracy["train"].n) == ("train", len(learnt))


def test_outputs_agree_with_transformers_own_greedy_generation(taught, facts, tmp_path):
    model, _ = taught
    result = run_evaluate(settings(model, parts="test", max_new_tokens=6), facts, root=tmp_path)
    loaded = load(ModelSettings(model=str(model)))
    import torch

    for fact, output in zip(facts.part("test"), result.outputs()["output"], strict=True):
        prompt = torch.tensor([encode_prompt(loaded.tokenizer, fact.question)])
        said = loaded.model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=6, do_sample=False)
        assert output == loaded.tokenizer.decode(said[0, prompt.shape[1] :], skip_special_tokens=True)


def test_outputs_table_is_in_fact_order_with_levels_and_verdicts(base_folder, facts, levels, tmp_path):
    outputs = run_evaluate(settings(base_folder, batch_size=7), facts, levels, root=tmp_path).outputs()
    asked = [*facts.part("test"), *facts.part("ood")]
    assert outputs["fact_id"].to_list() == [fact.id for fact in asked]
    level_of = dict(zip(levels["fact_id"], levels["level"], strict=True))
    assert outputs["level"].to_list() == [level_of[fact.id] for fact in asked]
    for fact, row in zip(asked, outputs.iter_rows(named=True), strict=True):
        assert row["part"] == fact.part
        assert row["contains"] == MATCHERS["contains"](row["output"], fact.accepted)
        assert row["word"] == MATCHERS["word"](row["output"], fact.accepted)


def test_batch_size_changes_neither_text_nor_tables(taught, facts, levels, tmp_path):
    model, _ = taught
    one, many = (
        run_evaluate(settings(model, batch_size=size), facts, levels, out=tmp_path / str(size)) for size in (1, 50)
    )
    for name in ("outputs.parquet", "accuracy.parquet"):
        assert (one.path / name).read_bytes() == (many.path / name).read_bytes()


def test_cut_evaluation_goes_on_at_the_batch_it_was_at(base_folder, facts, levels, tmp_path, monkeypatch):
    whole = run_evaluate(settings(base_folder, batch_size=10), facts, levels, out=tmp_path / "whole")

    def stop(done, total):
        if done == 30:
            raise Stop

    with pytest.raises(Stop):
        run_evaluate(settings(base_folder, batch_size=10), facts, levels, out=tmp_path / "cut", progress=stop)
    greedy, sizes = TransformersEngine.greedy, []

    def counting(engine, prompts, *rest):
        sizes.append(len(prompts))
        return greedy(engine, prompts, *rest)

    monkeypatch.setattr(TransformersEngine, "greedy", counting)
    # another batch size is not another evaluation: the first one's is kept
    cut = run_evaluate(settings(base_folder, batch_size=3), facts, levels, out=tmp_path / "cut")
    assert sizes == [10, 10, 7]
    assert (cut.path / "outputs.parquet").read_bytes() == (whole.path / "outputs.parquet").read_bytes()
    again = run_evaluate(settings(base_folder), facts, levels, out=tmp_path / "cut")
    assert again == cut
    assert sizes == [10, 10, 7]


def test_limit_draws_the_same_facts_for_every_model(base_folder, taught, facts, tmp_path):
    first, second = (
        run_evaluate(settings(model, limit=4), facts, root=tmp_path).outputs() for model in (base_folder, taught[0])
    )
    assert first["fact_id"].to_list() == second["fact_id"].to_list()
    assert first["part"].to_list() == ["test"] * 4 + ["ood"] * 4
    assert first.filter(pl.col("part") == "test")["relation"].n_unique() > 1


def test_loaded_model_gives_the_same_step(base_folder, facts, levels, tmp_path):
    loaded = load(ModelSettings(model=str(base_folder)))
    given = run_evaluate(settings(base_folder), facts, levels, root=tmp_path / "a", loaded=loaded)
    read = run_evaluate(settings(base_folder), facts, levels, root=tmp_path / "b")
    assert given.path.name == read.path.name
    assert (given.path / "outputs.parquet").read_bytes() == (read.path / "outputs.parquet").read_bytes()


def test_stored_outputs_are_judged_again_without_the_model(base_folder, facts, levels, tmp_path):
    shutil.copytree(base_folder, tmp_path / "model")
    result = run_evaluate(settings(tmp_path / "model"), facts, levels, root=tmp_path)
    shutil.rmtree(tmp_path / "model")
    stored = result.accuracy()
    for matcher in MATCHERS:
        assert rescore_answers(result.path, matcher=matcher).equals(stored.filter(pl.col("matcher") == matcher))

    def anything(text, accepted):
        return True

    with pytest.raises(InputError, match="judge must be one of contains, word, .*, but got 'nearly'"):
        rescore_answers(result.path, matcher="nearly")
    again = rescore_answers(result.path, matcher=anything)
    assert set(again["accuracy"]) == {100.0}
    assert set(again["matcher"]) == {"anything"}


def test_new_synonyms_can_be_judged_from_stored_outputs(taught, tmp_path):
    model, learnt = taught
    asked = FactSet(tuple(_with(fact, object="something else") for fact in learnt), "other")
    result = run_evaluate(settings(model, parts="train"), asked, root=tmp_path)
    assert result.found.accuracy["train"].micro.value == 0
    richer = FactSet(
        tuple(
            _with(fact, synonyms=(learnt_fact.object,), id=fact.id)
            for fact, learnt_fact in zip(asked, learnt, strict=True)
        )
    )
    with pytest.raises(InputError, match="is not in the fact set"):
        rescore_answers(result.path, FactSet(richer.facts[1:], "fewer"))
    with pytest.raises(InputError, match="is not in the fact set"):
        rescore_answers(result.path, FactSet((), "none"))
    table = rescore_answers(result.path, richer)
    assert table.filter(pl.col("level") == "micro")["accuracy"].to_list() == [100.0]


def _with(fact: Fact, **changes) -> Fact:
    values = {name: getattr(fact, name) for name in ("relation", "subject", "object", "question", "synonyms", "split")}
    return Fact(**{**values, **changes})


def test_levels_that_cover_only_some_facts_leave_the_others_to_micro(base_folder, facts, levels, tmp_path):
    some = levels.filter(pl.col("level") < 2)
    test = run_evaluate(settings(base_folder), facts, some, root=tmp_path).found.accuracy["test"]
    assert (test.n, test.without_level) == (50, 30)
    assert test.missing == ("2", "3", "4")


def test_levels_of_other_facts_are_refused_before_a_question_is_asked(base_folder, facts, levels, tmp_path):
    others = levels.filter(pl.col("fact_id").is_in([fact.id for fact in facts.part("train")]))
    assert len(others)
    with pytest.raises(InputError, match=rf"is among the {len(others)} of the levels given"):
        run_evaluate(settings(base_folder), facts, others, out=tmp_path / "e")
    assert not list(tmp_path.iterdir())


def test_adapter_is_evaluated_merged(base_folder, taught, tmp_path):
    _, learnt = taught
    root = tmp_path
    chosen = run_select(SelectSettings(size="all", level="random"), learnt, root=root)
    how = TrainSettings(
        model=str(base_folder),
        method="lora",
        lora_targets="all-linear",
        lora_dropout=0,
        learning_rate=2e-2,
        epochs=60,
        batch_size=10,
    )
    adapter = run_train(how, chosen.path, root=root).path
    trained = run_evaluate(settings(adapter, parts="train"), learnt, root=root)
    base = run_evaluate(settings(base_folder, parts="train"), learnt, root=root)
    assert trained.found.accuracy["train"].micro.value > base.found.accuracy["train"].micro.value == 0


def test_broken_model_is_refused(base_folder, facts, tmp_path):
    shutil.copytree(base_folder, tmp_path / "broken")
    weights = load_file(base_folder / "model.safetensors")
    weights["lm_head.weight"][0, 0] = float("inf")
    save_file(weights, tmp_path / "broken/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="NaN or infinite"):
        run_evaluate(settings(tmp_path / "broken"), facts, root=tmp_path)


def test_no_question_to_ask_is_an_error(base_folder, facts, tmp_path):
    with pytest.raises(InputError, match="no fact in the parts ood"):
        run_evaluate(settings(base_folder, parts="ood"), facts.part("train"), root=tmp_path)
    with pytest.raises(InputError, match="parts must name"):
        EvaluateSettings.make(parts="dev")


def test_other_levels_are_another_evaluation(base_folder, facts, levels, tmp_path):
    run_evaluate(settings(base_folder, limit=2), facts, levels, out=tmp_path / "e")
    with pytest.raises(StepError, match="input levels"):
        run_evaluate(settings(base_folder, limit=2), facts, levels.tail(-1), out=tmp_path / "e")
