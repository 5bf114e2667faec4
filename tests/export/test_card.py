"""The model card: what the hub reads, what people read, and nothing of this machine.

The hub's own validator is a web service. Checked here is what can be without it: huggingface_hub parses the card and
the results in it, and gives the same back; and every entry is of the form that the hub's documentation asks for.
"""

import re
import shutil
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id

from helpers_tiny import tiny_facts
from recollect.core.estimates import proportion
from recollect.drift import DriftSettings, run_drift
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.export import ExportSettings, run_export
from recollect.models.origin import Origin, origin_of
from recollect.restore import RestoreSettings, run_restore
from recollect.train.card import CardContent, Score, card_text, restored_card
from recollect.train.step_card import card_of_step

KEYS = {
    "base_model", "base_model_relation", "datasets", "language", "library_name", "license", "license_link",
    "license_name", "model-index", "pipeline_tag", "tags",
}  # fmt: skip


def checked(text):
    """The entries of a card, once all that can be checked without the hub is."""
    card = ModelCard(text)
    data = card.data.to_dict()
    assert set(data) <= KEYS | {"model_name"}
    assert ModelCard(str(card)).data.to_dict() == data  # also reads `model-index` into results and back
    for name in [data.get("base_model"), *data.get("datasets", [])]:
        if name is not None:
            validate_repo_id(name)
            assert name.count("/") == 1
    assert ("base_model" in data) == ("base_model_relation" in data)
    assert data.get("base_model_relation") in (None, "finetune", "adapter")
    assert all(re.fullmatch("[a-z]{2,3}", one) for one in data.get("language", []))
    assert re.fullmatch(r"[a-z0-9.\-]+", data.get("license", "mit"))
    assert data.get("license") != "other" or {"license_name", "license_link"} <= set(data)
    assert data["library_name"] in ("transformers", "peft", "gguf", "mlx")
    assert data["pipeline_tag"] == "text-generation"
    assert all(isinstance(tag, str) and tag for tag in data["tags"]) and "recollect" in data["tags"]
    for result in card.data.eval_results or []:
        assert result.dataset_type and result.dataset_name and result.metric_type == "accuracy"
        assert 0 <= result.metric_value <= 100
    return data


def content(**values):
    given = {"title": "t", "origin": Origin("b"), "adapter": False, "prompt": "", "data": [("examples", "8")]}
    return CardContent(**{**given, "settings": {"method": "full"}, **values})


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_card_of_a_training_passes_and_tells_of_data_levels_settings_and_seed(tuned, method, tmp_path):
    text = (tuned[method] / "model/README.md").read_text()
    data = checked(text)
    assert data["library_name"] == ("peft" if method == "lora" else "transformers")
    assert "| examples | 40 |" in text and "level 0: 8" in text and "| `seed` | `0` |" in text
    assert ("`lora_r`" in text) == (method == "lora")
    assert "None is known to this card" in text and "Not measured" in text
    assert str(tuned[method].parent) not in text and str(tmp_path.parent) not in text  # nothing of this machine


@pytest.mark.parametrize(("adapter", "relation"), [(True, "adapter"), (False, "finetune")])
def test_a_base_of_the_hub_is_named_with_the_relation_to_it(adapter, relation):
    origin = Origin("org/base", "org/base", "abc", "apache-2.0", languages=("en",))
    data = checked(card_text(content(origin=origin, adapter=adapter)))
    assert data["base_model"] == "org/base" and data["base_model_relation"] == relation
    assert data["license"] == "apache-2.0" and data["language"] == ["en"]


def test_a_local_base_is_told_in_words_only():
    data = checked(card_text(content(origin=Origin("my folder"))))
    assert "base_model" not in data and "`my folder`" in card_text(content(origin=Origin("my folder")))


def test_scores_stand_with_n_and_interval_for_people_and_for_the_hub():
    score = Score("accuracy, test questions", proportion(30, 40), "my facts | 2", "test")
    text = card_text(content(scores=[score]))
    [result] = ModelCard(text).data.eval_results
    checked(text)
    assert result.metric_value == 75.0 and "n = 40" in result.metric_name and "58.8 to 87.3" in result.metric_name
    assert "| accuracy, test questions | 75.0 | 58.8 to 87.3 | 40 | my facts \\| 2 |" in text


def test_secrets_in_a_setting_are_masked():
    text = card_text(content(settings={"method": "full", "url": "https://me:hunter2@host/x"}))
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("top", "licence"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license: [mit]", "mit"),
        ("license: other\nlicense_name: own\nlicense_link: https://x.org", "other"),
        ("license: {a: b}", ""),
        ("a: &a [1]\nb: *a", ""),  # YAML with aliases is not read
        ("license: [", ""),
    ],
)
def test_the_licence_is_taken_from_the_bases_own_card(tmp_path, top, licence):
    (tmp_path / "README.md").write_text(f"---\n{top}\n---\ntext")
    assert origin_of("b", tmp_path).licence == licence


def test_a_restored_model_says_so_in_its_card(base_folder, tuned, tmp_path):
    result = run_restore(RestoreSettings.make(percent=20), base_folder, tuned["lora"], out=tmp_path / "r")
    text = (result.model / "README.md").read_text()
    data = checked(text)
    assert data["library_name"] == "transformers" and "restored" in data["tags"]
    assert f"{result.found.restored:,} of {result.found.of:,} weights were set back" in text
    again = card_of_step(result.model)
    assert again is not None and card_text(again) == text


def test_a_mean_of_trainings_says_so_in_its_card_and_not_that_it_moved_towards_its_base(tmp_path):
    (tmp_path / "manifest.json").touch()
    of_two = restored_card(content(), {"alpha": 0.5, "base": str(tmp_path / "model")})
    assert of_two.changed == ["Its weights are the mean of 2 trainings; what is said here tells of one of them."]
    moved = restored_card(of_two, {"alpha": 0.8, "base": str(tmp_path / "elsewhere" / "model")})
    assert [line.partition(":")[0] for line in moved.changed[1:]] == [
        "After the training every weight was moved back towards the base"
    ]


def test_our_card_does_not_change_what_a_restoration_is_of(base_folder, tuned, tmp_path):
    copies = [tmp_path / "with" / "copy", tmp_path / "without" / "copy"]
    for copy in copies:
        shutil.copytree(tuned["full"] / "model", copy)
    (copies[1] / "README.md").unlink()  # as an earlier version left the folder
    first, again = (run_restore(RestoreSettings.make(percent=20), base_folder, copy, root=tmp_path) for copy in copies)
    assert again.path == first.path


def test_the_exported_card_has_the_scores_and_the_drift_of_this_model_alone(base_folder, tuned, tmp_path):
    facts = tiny_facts(8)
    root = tuned["full"].parent
    asked = EvaluateSettings.make(model=str(tuned["full"]), parts="test", limit=10)
    scored = run_evaluate(asked, facts, root=root)
    run_evaluate(EvaluateSettings.make(model=str(tuned["lora"]), parts="ood", limit=10), facts, root=root)
    run_drift(DriftSettings.make(tokens=False), str(base_folder), str(tuned["full"]), root=root)
    result = run_export(ExportSettings.make(to="merged", questions=4), tuned["full"], out=tmp_path / "e")
    text = (result.exported / "README.md").read_text()
    checked(text)
    micro = scored.found.accuracy["test"].micro
    assert f"over all facts | {100 * micro.value:.1f} |" in text and "out-of-domain" not in text
    assert "weights of the measured region that did not change" in text and "Not measured" not in text
    assert "Checked after the export" in text


def test_a_card_is_the_same_for_the_same_content():
    one = content(scores=[Score("s", proportion(1, 2), "d", "test")])
    assert card_text(one) == card_text(replace(one))
