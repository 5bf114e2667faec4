import pytest

from recollect.core.settings import Settings
from recollect.errors import InputError
from recollect.train import PRESETS, TrainSettings

LETTERS = {
    "A": "60-data-points",
    "A-LLaMA-2": "60-data-points-llama-2",
    "B-LoRA": "attribute-extraction-lora",
    "C": "token-and-parameter-levels",
}


def test_preset_token_and_parameter_levels_is_the_papers():
    s = TrainSettings(preset="token-and-parameter-levels")
    assert (s.method, s.schedule, s.epochs, s.batch_size, s.learning_rate) == ("full", "cosine", 1, 8, 1e-5)


def test_preset_60_data_points_knows_the_rate_for_llama_2():
    s = TrainSettings(preset="60-data-points")
    assert (s.batch_size, s.learning_rate) == (16, 1e-5)
    assert TrainSettings(preset="60-data-points-llama-2").learning_rate == 2e-5


def test_preset_attribute_extraction_lora_is_the_papers_adapter():
    s = TrainSettings(preset="attribute-extraction-lora")
    assert (s.method, s.lora_r, s.lora_alpha, s.lora_dropout) == ("lora", 16, 32, 0.1)
    assert s.lora_targets == "q_proj,v_proj"
    assert (s.learning_rate, s.batch_size, s.epochs, s.warmup_ratio) == (1e-4, 16, 12, 0.1)


@pytest.mark.parametrize(("letter", "name"), LETTERS.items())
def test_a_papers_letter_and_its_name_are_one_preset(letter, name):
    one, other = TrainSettings(preset=letter), TrainSettings(preset=name)
    assert one == other and one.preset == name
    assert one.fingerprint_values() == other.fingerprint_values()


@pytest.mark.parametrize(("letter", "name"), LETTERS.items())
def test_a_section_has_one_fingerprint_whichever_name_it_gives_that_of_earlier_versions(letter, name):
    class Around(Settings):
        train: TrainSettings = TrainSettings()

    for given in (letter, name):
        section = Around.make(train={"preset": given, "epochs": 2})
        assert section.fingerprint_values() == {"train": {"preset": letter, "epochs": 2}}
        assert section.train.given() == {"preset": name, "epochs": 2}  # what a reader is shown
    assert Around.make(train={"epochs": 2}).fingerprint_values() == {"train": {"epochs": 2}}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_flag_beats_every_preset(preset):
    assert TrainSettings(preset=preset, learning_rate=3e-3).learning_rate == 3e-3


def test_naming_a_preset_or_its_values_is_the_same_run():
    named, spelt = TrainSettings(preset="B-LoRA"), TrainSettings(**PRESETS["B-LoRA"])
    assert named.fingerprint_values() == spelt.fingerprint_values()


def test_where_a_value_comes_from_is_told():
    _, origin = TrainSettings.resolve(file={"preset": "C", "epochs": 2}, flags={"batch_size": 4})
    assert (origin["learning_rate"], origin["epochs"], origin["batch_size"], origin["seed"]) == (
        "preset token-and-parameter-levels",
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
