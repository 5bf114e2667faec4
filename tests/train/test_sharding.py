"""`--sharding fsdp`: weights shared out among processes, here two on a CPU, give what one process gives."""

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from helpers_tiny import tiny_facts, tiny_levels
from recollect.errors import InputError
from recollect.models import ModelSettings, load, resolve_name
from recollect.select import SelectSettings, run_select
from recollect.train import PausedTraining, TrainSettings, run_train, run_train_until
from recollect.train.checkpoints import last_checkpoint
from recollect.train.sharding import FULL_BYTES, MOST, check_checkpoint, check_shared, put_in, shards

TOLERANCE = 1e-6  # as in test_launch: 6e-8 was seen of the weights, 4.8e-7 of the losses


def settings(base, **given):
    given = {"learning_rate": 3e-3, "epochs": 1, "batch_size": 8, "lora_dropout": 0, **given}
    return TrainSettings.make(model=str(base), device="cpu", **given)


def test_one_process_a_quantised_base_and_eva_are_refused(base_folder, eight, tmp_path):
    with pytest.raises(InputError, match="several processes, but got processes=1. Take --processes 2"):
        run_train(settings(base_folder, sharding="fsdp"), eight, root=tmp_path)
    ref, how = resolve_name(str(base_folder)), {"sharding": "fsdp", "method": "lora"}
    with pytest.raises(InputError, match="does not go with lora_init eva, .* Take --sharding none"):
        shards(settings(base_folder, lora_init="eva", **how), ref, 2, "cuda")
    quantised = resolve_name(str(base_folder), quantize="4bit")
    with pytest.raises(InputError, match="does not go with a quantised base"):
        shards(settings(base_folder, quantize="4bit", **how), quantised, 2, "cuda")
    assert not shards(settings(base_folder, max_steps=0, **how), ref, 2, "cuda")


def test_auto_shares_out_what_one_gpu_cannot_hold(base_folder, monkeypatch):
    ref = resolve_name(str(base_folder))
    weights = load(ModelSettings.make(model=str(base_folder), device="cpu")).model.num_parameters()
    least = round(FULL_BYTES * weights / MOST)
    for room, shared in ((least + 9, False), (least - 9, True)):
        found = type("Properties", (), {"total_memory": room})
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, found=found: found)
        assert shards(settings(base_folder), ref, 2, "cuda") is shared
        assert not shards(settings(base_folder, method="lora"), ref, 2, "cuda")
        assert not shards(settings(base_folder), ref, 2, "cpu")
        assert not shards(settings(base_folder), ref, 1, "cuda")


def test_a_checkpoint_of_the_other_kind_is_refused(tmp_path):
    check_checkpoint(None, True)
    check_checkpoint(tmp_path, False)
    with pytest.raises(InputError, match="begun with sharding none, .* cannot be resumed with sharding fsdp"):
        check_checkpoint(tmp_path, True)
    (tmp_path / "pytorch_model_fsdp.bin").touch()
    check_checkpoint(tmp_path, True)
    with pytest.raises(InputError, match="Take --sharding fsdp, or remove the checkpoint"):
        check_checkpoint(tmp_path, False)


def test_weights_that_were_not_shared_out_are_no_result():
    model = torch.nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="accelerate shared out no weight weight"):
        check_shared(model)
    with pytest.raises(RuntimeError, match="other weights came back than were trained: .'bias'"):
        put_in(model, {"weight": torch.ones(2, 2)})
    model.bias.requires_grad_(False)
    put_in(model, {"weight": torch.full((2, 2), 7.0)})
    assert (model.weight == 7).all()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """21 rows: the last update of an epoch has 5, which two processes cannot share alike."""
    facts = tiny_facts(8)
    root = tmp_path_factory.mktemp("odd")
    return run_select(SelectSettings(size=21, level="random"), facts, tiny_levels(facts), root=root).path


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_shared_weights_pause_are_asked_resume_and_give_what_one_process_gives(base_folder, odd, tmp_path, method):
    given = {"method": method, "save_every": 1, "epochs": 2}
    whole = run_train(settings(base_folder, **given), odd, out=tmp_path / "whole")
    shared = settings(base_folder, **given, processes=2, sharding="fsdp")
    paused = run_train_until(shared, odd, 0.5, out=tmp_path / "cut")
    assert isinstance(paused, PausedTraining) and (paused.step, paused.steps) == (3, 6)
    assert (paused.model_folder / "pytorch_model_fsdp.bin").is_file()  # none where nothing was shared out
    asked = load(ModelSettings.make(model=str(paused.model_folder), device="cpu")).model
    assert type(asked) is type(load(ModelSettings.make(model=str(base_folder), device="cpu")).model)
    with pytest.raises(InputError, match="begun with sharding fsdp"):
        run_train(settings(base_folder, **given), odd, out=tmp_path / "cut")
    (paused.model_folder / "checksums.json").unlink()  # a kill came before its list: it is judged by its form
    assert last_checkpoint(paused.model_folder.parent) == paused.model_folder
    seen = []
    done = run_train(shared, odd, out=tmp_path / "cut", progress=lambda *now: seen.append(now))
    assert seen == [(4, 6), (5, 6), (6, 6)]
    [file] = {path.name for path in whole.model_folder.glob("*.safetensors")}
    one, two = (load_file(result.model_folder / file) for result in (whole, done))
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < TOLERANCE
    losses = [pl.read_parquet(result.path / "log.parquet")["loss"] for result in (whole, done)]
    assert (losses[0] - losses[1]).abs().max() < TOLERANCE
    config = "config.json" if method == "full" else "adapter_config.json"
    assert (done.model_folder / config).read_bytes() == (whole.model_folder / config).read_bytes()
    assert done.found.weights_moved == pytest.approx(whole.found.weights_moved, abs=1e-3)
    assert done.found.trained_parameters == whole.found.trained_parameters
