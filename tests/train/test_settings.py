import pytest

from recollect.errors import InputError
from recollect.train import PRESETS, TrainSettings


def test_preset_c_is_the_studys():
    s = TrainSettings(preset="C")
    assert (s.method, s.schedule, s.epochs, s.batch_size, s.learning_rate) == ("full", "cosine", 1, 8, 1e-5)


def test_preset_a_knows_the_rate_for_llama_2():
    assert (TrainSettings(preset="A").batch_size, TrainSettings(preset="A").learning_rate) == (16, 1e-5)
    assert TrainSettings(preset="A-LLaMA-2").learning_rate == 2e-5


def test_preset_b_is_the_studys_adapter():
    s = TrainSettings(preset="B-LoRA")
    assert (s.method, s.lora_r, s.lora_alpha, s.lora_dropout) == ("lora", 16, 32, 0.1)
    assert s.lora_targets == "q_proj,v_proj"
    assert (s.learning_rate, s.batch_size, s.epochs, s.warmup_ratio) == (1e-4, 16, 12, 0.1)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_flag_beats_every_preset(preset):
    assert TrainSettings(preset=preset, learning_rate=3e-3).learning_rate == 3e-3


def test_naming_a_preset_or_its_values_is_the_same_run():
    named, spelt = TrainSettings(preset="B-LoRA"), TrainSettings(**PRESETS["B-LoRA"])
    assert named.fingerprint_values() == spelt.fingerprint_values()


def test_where_a_value_comes_from_is_told():
    _, origin = TrainSettings.resolve(file={"preset": "C", "epochs": 2}, flags={"batch_size": 4})
    assert (origin["learning_rate"], origin["epochs"], origin["batch_size"], origin["seed"]) == (
        "preset C",
        "file",
        "flag",
        "default",
    )


@pytest.mark.parametrize(
    "values", [{"preset": "D"}, {"learning_rate": 0}, {"max_steps": -1}, {"prompt_template": "no slot"}]
)
def test_bad_value_is_named(values):
    with pytest.raises(InputError, match=next(iter(values))):
        TrainSettings.make(**values)
