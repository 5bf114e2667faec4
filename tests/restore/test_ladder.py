import polars as pl
import pytest
import torch

from helpers_models import nudged
from helpers_tiny import tiny_facts, tiny_levels, tiny_model
from recollect.errors import InputError, ModelError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import FactSet
from recollect.models import ModelSettings, load
from recollect.models import resident as models_resident
from recollect.models.resident import Resident
from recollect.restore import Choice, LadderFound, LadderSettings, in_memory, run_ladder
from recollect.restore.ladder import _export, orders_of, rungs_of
from recollect.select import SelectSettings, run_select
from recollect.shipped import SHIPPED
from recollect.train import TrainSettings, run_train
from recollect.weights import open_pair, rank
from recollect.weights.live import Live, interpolate, length_share


class Stop(Exception):
    """What stands in for a kill inside the process."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("base") / "model"))


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    return nudged(tmp_path_factory.mktemp("tuned") / "model", base, by=0.3, seed=1)


@pytest.fixture(scope="module")
def facts():
    return tiny_facts(1, test=3, ood=5)


@pytest.fixture(scope="module")
def levels(facts):
    return tiny_levels(facts)


def settings(**values):
    return LadderSettings.make(**{"ladder": "10,50", "max_new_tokens": 4, "export": "none", **values})


def weights(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def same(left, right):
    return all(torch.equal(left[name], right[name]) for name in left)


# -- in place --------------------------------------------------------------------------------------------------


def test_zero_percent_is_the_tuned_model_and_all_of_everything_the_base_exactly(base, tuned):
    with open_pair(base, tuned) as pair:
        loaded = load(ModelSettings(model=tuned))
        before = weights(loaded.model)
        live = Live(loaded.model, pair, "all")
        ranking = rank(pair, "relative", "all", (0.0, 100.0))
        live.restore(ranking.cut(100.0))
        assert same(weights(loaded.model), weights(load(ModelSettings(model=base)).model))
        live.restore(ranking.cut(0.0))
        assert same(weights(loaded.model), before)
        live.interpolate(0.5)
        assert live.to_tuned() > 0
        assert same(weights(loaded.model), before)


@pytest.mark.parametrize("order", ["relative", "absolute", "bottom", "random"])
def test_rungs_nest_in_the_live_model_and_leave_the_rest_as_tuned(base, tuned, order):
    first = weights(load(ModelSettings(model=base)).model)
    with open_pair(base, tuned) as pair:
        loaded = load(ModelSettings(model=tuned))
        before = weights(loaded.model)
        live = Live(loaded.model, pair, "decoder")
        ranking = rank(pair, order, "decoder", (5.0, 30.0, 70.0))
        smaller = {name: torch.zeros_like(value, dtype=torch.bool) for name, value in first.items()}
        for percent in ranking.percents:
            cut = ranking.cut(percent)
            live.restore(cut)
            now = weights(loaded.model)
            back = {name: (now[name] == first[name]) & (before[name] != first[name]) for name in now}
            assert all(torch.equal(now[name], torch.where(back[name], first[name], before[name])) for name in now)
            assert all((back[name] >= smaller[name]).all() for name in now)
            moved = sum(int(mask.sum()) for mask in back.values())
            assert abs(moved - cut.restored) <= 2  # a nudge may round to nothing
            assert not any(back[name].any() for name in now if "norm" in name or "embed" in name or "lm_head" in name)
            smaller = back


def test_a_smaller_rung_after_a_larger_one_is_that_rung(base, tuned):
    with open_pair(base, tuned) as pair:
        loaded = load(ModelSettings(model=tuned))
        live = Live(loaded.model, pair, "decoder")
        ranking = rank(pair, "relative", "decoder", (10.0, 60.0))
        live.restore(ranking.cut(10.0))
        wanted = weights(loaded.model)
        live.restore(ranking.cut(60.0))
        assert not same(weights(loaded.model), wanted)
        live.restore(ranking.cut(10.0))
        assert same(weights(loaded.model), wanted)


def test_interpolation_keeps_a_change_of_the_same_length_as_the_rung(base, tuned):
    first = weights(load(ModelSettings(model=base)).model)

    def length(model):
        return torch.cat([(value - first[name]).flatten() for name, value in weights(model).items()]).norm().item()

    with open_pair(base, tuned) as pair:
        loaded = load(ModelSettings(model=tuned))
        live = Live(loaded.model, pair, "all")
        full, whole = live.to_tuned(), length(loaded.model)
        assert full == pytest.approx(whole**2, rel=1e-5)
        ranking = rank(pair, "relative", "all", (20.0, 90.0))
        for percent in ranking.percents:
            alpha = length_share(live.restore(ranking.cut(percent)), full)
            wanted = length(loaded.model)
            assert alpha * whole == pytest.approx(wanted, rel=1e-5)
            live.interpolate(alpha)
            assert length(loaded.model) == pytest.approx(wanted, rel=1e-5)


def test_interpolation_ends_are_exact():
    torch.manual_seed(0)
    base, tuned = torch.randn(1000).numpy(), torch.randn(1000).numpy()
    assert (interpolate(base, tuned, 0.0) == base).all() and (interpolate(base, tuned, 1.0) == tuned).all()
    assert interpolate(base, tuned, 0.25) == pytest.approx(0.75 * base + 0.25 * tuned, abs=1e-6)
    assert length_share(0.0, 0.0) == 1.0


def test_tensors_that_the_loaded_model_does_not_hold_as_stored_are_named(base, tuned):
    with open_pair(base, tuned) as pair:
        loaded = load(ModelSettings(model=tuned))
        loaded.model.model.layers = loaded.model.model.layers[:1]
        with pytest.raises(ModelError, match=r"layers\.1\..*--percent"):
            Live(loaded.model, pair, "decoder")


# -- the step --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(base, tuned, facts, levels, tmp_path_factory):
    out = tmp_path_factory.mktemp("ladder") / "ladder"
    return run_ladder(settings(), base, tuned, facts, levels, out=out)


def test_every_order_is_climbed_beside_tuned_and_base():
    wanted = ["absolute", "relative", "bottom", "random", "interpolation"]
    assert orders_of(settings(order="absolute")) == wanted
    rungs = rungs_of(settings(order="absolute", ladder="50,10"))
    assert [(rung.order, rung.percent) for rung in rungs[:4]] == [
        ("base", 100),
        ("tuned", 0),
        ("absolute", 10),
        ("absolute", 50),
    ]
    assert len(rungs) == 2 + 5 * 2


def test_the_rungs_tuned_and_base_answer_as_those_models_do(result, base, tuned, facts, levels, tmp_path):
    outputs = result.outputs()
    for order, model in (("tuned", tuned), ("base", base)):
        asked = EvaluateSettings(model=model, max_new_tokens=4, limit=500)
        own = run_evaluate(asked, facts, levels, out=tmp_path / order).outputs()
        assert outputs.filter(pl.col("order") == order).drop("order", "percent").equals(own)


def test_restoring_all_of_everything_answers_as_the_base_does(base, tuned, facts, levels, tmp_path):
    found = run_ladder(settings(ladder="100", region="all"), base, tuned, facts, levels, out=tmp_path / "ladder")
    outputs = found.outputs()
    own = outputs.filter(pl.col("order") == "base")["output"].to_list()
    for order in ("relative", "absolute", "bottom", "random", "interpolation"):
        assert outputs.filter(pl.col("order") == order)["output"].to_list() == own
    assert outputs.filter(pl.col("order") == "tuned")["output"].to_list() != own
    assert set(found.rungs().filter(pl.col("order") != "tuned")["kept"]) == {0.0}


def test_the_interpolation_rung_keeps_as_much_as_the_main_orders(result):
    rungs = result.rungs()
    kept = {(row["order"], row["percent"]): row for row in rungs.iter_rows(named=True)}
    for percent in (10.0, 50.0):
        ours, theirs = kept["relative", percent], kept["interpolation", percent]
        assert theirs["kept"] == pytest.approx(ours["kept"], rel=1e-4)
        assert theirs["alpha"] == ours["kept"] < 1
    assert kept["absolute", 50.0]["kept"] < kept["random", 50.0]["kept"] < kept["bottom", 50.0]["kept"]
    assert kept["relative", 10.0]["restored"] == kept["random", 10.0]["restored"] > 0


def test_the_answer_has_a_line_for_every_rung_and_says_what_beats_what(result, facts):
    found = result.found
    assert len(found.rungs) == 12 and LadderFound.read(result.path) == found
    table = {(row["order"], row["percent"]): row for row in result.rungs().iter_rows(named=True)}
    for rung in found.rungs:
        row = table[rung.order, rung.percent]
        for name in ("macro", "micro", "ood", "ood_micro", "known"):
            interval = getattr(rung, name)
            stored = [row[f"{name}{end}"] for end in ("", "_low", "_high")]
            assert stored == ([None] * 3 if interval is None else pytest.approx(interval.percent))
        assert rung.micro and rung.ood_micro and rung.known
        assert list(rung.by_level) == [row[f"level_{level}"] for level in range(5)]
        assert (rung.micro.n, rung.ood_micro.n) == tuple(facts.counts()[part] for part in ("test", "ood"))
    assert found.beats_tuned is False  # a random model answers nothing, restored or not
    assert found.best.percent == 0
    assert [control.order for control in found.controls] == ["absolute", "bottom", "random", "interpolation"]
    assert "nothing to restore" in found.note
    assert result.exported is None
    assert sorted(path.name for path in result.path.iterdir()) == [
        "accuracy.parquet",
        "manifest.json",
        "outputs.parquet",
        "rungs.parquet",
    ]


def test_what_an_earlier_version_found_is_read():
    """It kept intervals flat and in percent, levels too, and of a rung not how many facts they are of."""
    ends = {"micro": 40.0, "micro_low": 30.0, "micro_high": 50.0, "macro": None, "macro_low": None, "macro_high": None}
    ends |= {f"ood{name}": value for name, value in (("", None), ("_low", None), ("_high", None))}
    ends |= {"ood_micro": 5.0, "ood_micro_low": 0.5, "ood_micro_high": 20.0}
    known = {"known": 60.0, "known_low": 50.0, "known_high": 70.0}
    by_level = {f"{part}level_{level}": None if part else 20.0 * level for part in ("", "ood_") for level in range(5)}
    measured = {"restored": 155648, "kept": 0.9, "alpha": None, "loss": 0.75, "answer_length": 11.5}
    row = {"order": "random", "percent": 50.0, **ends, **known, **by_level, **measured}
    gain = {"gain": 3.0, "gain_low": 1.0, "gain_high": 5.0, "gain_facts": 40}
    tests = {"validation": 50.0, "test": 53.0, "tuned_test": 50.0, "beats_tuned": True}
    ahead = {"ahead": 2.0, "ahead_low": -1.0, "ahead_high": 5.0, "ahead_facts": 40}
    old = {"rungs": [row], "best": {"order": "relative", "percent": 20.0, **tests, **gain}, "beats_tuned": True}
    old |= {"controls": [{"order": "random", "percent": 5.0, **tests, **gain, **ahead}], "mean": "micro", "levels": []}
    found = LadderFound.model_validate({**old, "note": "so", "warnings": []})
    rung = found.rungs[0]
    assert rung.micro.percent == pytest.approx((40, 30, 50)) and rung.ood_micro.percent == pytest.approx((5, 0.5, 20))
    assert rung.macro is None and rung.ood is None and rung.known.percent == pytest.approx((60, 50, 70))
    assert rung.by_level == (0, 20, 40, 60, 80) and rung.ood_by_level == (None,) * 5
    assert (rung.restored, rung.kept, rung.alpha, rung.loss, rung.answer_length) == (155648, 0.9, None, 0.75, 11.5)
    assert found.best.gain.percent == pytest.approx((3, 1, 5)) and found.best.gain.n == 40
    assert found.best.beats_tuned and found.best.ood_gain is None and found.best.ahead is None
    assert found.controls[0].ahead.percent == pytest.approx((2, -1, 5)) and found.controls[0].rivals_best
    assert LadderFound.model_validate(found.plain()) == found


def test_a_killed_ladder_goes_on_where_it_was_and_ends_the_same(result, base, tuned, facts, levels, tmp_path):
    def kill(done, total):
        if done == 5:
            raise Stop

    out = tmp_path / "ladder"
    with pytest.raises(Stop):
        run_ladder(settings(), base, tuned, facts, levels, out=out, progress=kill)
    written = {path: path.stat().st_mtime_ns for path in out.with_name("ladder.partial").glob("parts/*.parquet")}
    assert len(written) == 5
    done = []

    def watch(number, total):
        done.append((number, total))
        if number == 5:  # before the sixth, nothing was made anew
            assert all(path.stat().st_mtime_ns == when for path, when in written.items())

    again = run_ladder(settings(), base, tuned, facts, levels, out=out, progress=watch)
    assert done == [(number, 12) for number in range(1, 13)]
    for name in ("outputs.parquet", "accuracy.parquet", "rungs.parquet"):
        assert (again.path / name).read_bytes() == (result.path / name).read_bytes()


def test_a_model_is_written_only_when_told_to(base, tuned, facts, levels, result, tmp_path):
    again = run_ladder(settings(export="best"), base, tuned, facts, levels, out=result.path)
    assert again.exported is None  # it did not beat the tuned model
    forced = run_ladder(settings(export="best", force=True), base, tuned, facts, levels, out=result.path)
    assert forced.exported is None  # the best is to restore nothing
    told = run_ladder(settings(export="50"), base, tuned, facts, levels, out=result.path)
    assert told.exported == result.path / "restored-50"
    with open_pair(base, tuned) as pair:
        loaded = load(ModelSettings(model=tuned))
        Live(loaded.model, pair, "decoder").restore(rank(pair, "relative", "decoder", (50.0,)).cut(50.0))
    assert same(weights(loaded.model), weights(load(ModelSettings(model=str(told.exported))).model))


@pytest.mark.parametrize(
    ("values", "beats", "percent"),
    [
        ({}, True, "restored-10"),
        ({}, False, None),
        ({"force": True}, False, "restored-10"),
        ({"export": "none"}, True, None),
    ],
)
def test_the_chosen_percentage_is_written_if_it_beats_the_tuned_model(base, tuned, tmp_path, values, beats, percent):
    found = LadderFound(best=Choice(order="relative", percent=10.0), beats_tuned=beats)
    written = _export(tmp_path, found, settings(**{"export": "best", **values}), base, tuned)
    assert written == (percent and tmp_path / percent)
    assert [path.name for path in tmp_path.iterdir()] == ([percent] if percent else [])


def test_without_levels_rungs_are_compared_by_all_facts_alike(base, tuned, facts, tmp_path):
    found = run_ladder(settings(ladder="50"), base, tuned, facts, out=tmp_path / "ladder")
    assert found.found.mean == "micro"
    assert found.found.rungs[0].macro is None and found.found.rungs[0].micro.value == 0


def test_a_lora_adapter_is_climbed_from_its_merged_weights(base, facts, tmp_path):
    chosen = run_select(SelectSettings(size=10, level="random"), facts, out=tmp_path / "selection")
    how = TrainSettings(model=base, method="lora", lora_targets="all-linear", lora_r=4, learning_rate=1e-2, epochs=2)
    adapter = run_train(how, chosen.path, out=tmp_path / "train").model_folder
    found = run_ladder(settings(ladder="100"), base, str(adapter), facts, out=tmp_path / "ladder").outputs()
    own = run_evaluate(
        EvaluateSettings(model=str(adapter), max_new_tokens=4, limit=500), facts, out=tmp_path / "scores"
    ).outputs()
    assert found.filter(pl.col("order") == "tuned")["output"].to_list() == own["output"].to_list()
    untouched = found.filter(pl.col("order") == "base")["output"].to_list()
    assert found.filter(pl.col("order") == "relative")["output"].to_list() == untouched != own["output"].to_list()
    in_place(settings(ladder="100"), base, str(adapter), facts, tmp_path, found)


def in_place(how, base, tuned, facts, tmp_path, expected):
    """Climb in a base that is in memory: the same answers, nothing else loaded, and the base as it was."""
    held = load(ModelSettings.make(model=base, device="cpu", dtype="float32"))
    before = {name: (id(value), value.detach().clone()) for name, value in held.model.named_parameters()}
    resident = Resident(held)
    with pytest.MonkeyPatch.context() as patch:
        for module in (in_memory, models_resident):
            for name in {"load", "load_base", "load_tuned"} & vars(module).keys():
                patch.delattr(module, name)
        found = run_ladder(how, base, tuned, facts, out=tmp_path / "in-place", resident=resident)
    assert found.outputs().drop("level").equals(expected.drop("level"))
    after = {name: (id(value), value) for name, value in held.model.named_parameters()}
    assert all(at == after[name][0] and torch.equal(value, after[name][1]) for name, (at, value) in before.items())


def test_a_full_training_is_climbed_in_the_base_that_is_in_memory(result, base, tuned, facts, tmp_path):
    in_place(settings(), base, tuned, facts, tmp_path, result.outputs())


def test_the_pocket_is_climbed_though_its_base_is_stored_in_bfloat16(tmp_path):
    from recollect.facts import load_facts

    few = FactSet((*load_facts("pocket").part("test").facts[:6], *load_facts("pocket").part("ood").facts[:4]), "few")
    found = run_ladder(
        settings(ladder="100", region="all", text_tokens=200, max_new_tokens=2),
        str(SHIPPED["pocket"].model),
        nudged(tmp_path / "tuned", "pocket", by=0.3),
        few,
        out=tmp_path / "ladder",
    ).rungs()
    loss = dict(zip(found["order"], found["loss"], strict=True))
    assert loss["base"] == loss["relative"] == loss["interpolation"] < loss["tuned"]


@pytest.mark.parametrize("ladder", ["", "0,10", "10,101", "a", "-1"])
def test_a_ladder_that_is_none_is_refused(ladder):
    with pytest.raises(InputError, match="ladder"):
        settings(ladder=ladder)


@pytest.mark.parametrize("export", ["some", "10,20", "10,10", "0", "200"])
def test_an_export_that_is_none_is_refused(export):
    with pytest.raises(InputError, match=r"export must be best, none or one percentage above 0 and up to 100, but got"):
        settings(export=export)
