"""Model folders that mean harm or lost a file: one line within seconds, and none of a native library's own traces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_tiny import tiny_model
from recollect.errors import InputError, ModelError, RecollectError
from recollect.extraction.html import tokenizer_counter
from recollect.generate.encoding import text_ids
from recollect.models import check_folder, check_whole, resolve_name
from recollect.models.adapter_config import read_adapter_config

ENDLESS = r"(a|[a-z ]+|[a-z ?]+)+$!"
LATE = r"(x+x+)+y"  # endless on a run of x alone


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "model")


def edit(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def split_by(folder: Path, pattern: str) -> None:
    """Let the tokenizer of a folder split by a regular expression of an attacker's."""
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    edit(folder / "tokenizer.json", pre_tokenizer=split)


def normalise_by(folder: Path, pattern: str) -> None:
    edit(folder / "tokenizer.json", normalizer={"type": "Replace", "pattern": {"Regex": pattern}, "content": "x"})


@pytest.mark.parametrize("how", [split_by, normalise_by])
def test_an_endless_tokenizer_is_one_line_without_rusts_own_trace(
    model: Path, capfd: pytest.CaptureFixture[str], how: Callable[[Path, str], None]
) -> None:
    how(model, ENDLESS)
    with pytest.raises(ModelError, match=r"the tokenizer broke down on plain text") as error:
        check_whole(resolve_name(str(model)))
    assert str(model) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"tokenizer\.json: a native library gave up"):
        tokenizer_counter(model)
    assert capfd.readouterr().err == ""


def test_a_tokenizer_that_breaks_on_a_later_text_is_one_line_too(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoTokenizer

    split_by(model, LATE)
    check_whole(resolve_name(str(model)))
    tokenizer = AutoTokenizer.from_pretrained(model)
    with pytest.raises(RecollectError, match="the model's tokenizer: a native library gave up"):
        text_ids(tokenizer, ["x" * 60])
    with pytest.raises(RecollectError, match="a native library gave up"):
        tokenizer_counter(model)("x" * 60)
    assert capfd.readouterr().err == ""


def test_what_else_is_printed_meanwhile_is_shown() -> None:
    code = "import os\nfrom recollect.core.native import careful\nwith careful('x'):\n os.write(2, b'kept')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b"kept"


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json", "added_tokens.json", "vocab.json"])
@pytest.mark.parametrize("kind", ["a link to nothing", "a pipe or a device", "a folder"])
def test_a_file_that_decides_and_cannot_be_read_is_not_passed_over(model: Path, name: str, kind: str) -> None:
    (model / name).unlink(missing_ok=True)
    if kind == "a folder":
        (model / name).mkdir()
    elif kind == "a link to nothing":
        (model / name).symlink_to("gone")
    else:
        os.mkfifo(model / name)
    with pytest.raises(ModelError, match=f"must be a file, but is {kind}") as error:
        check_folder(model)
    assert str(model / name) in str(error.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"num_labels": 10**9}, r"num_labels = 1,000,000,000"),
        ({"text_config": {"num_labels": 10**9}}, r"text_config\.num_labels = 1,000,000,000"),
        ({"model_type": ["llama"]}, r"must have a name as model_type, but has \['llama'\]"),
        ({"hidden_act": "no such"}, r"KeyError 'no such'|no such"),
        ({"num_attention_heads": 0}, "Check its JSON files"),
    ],
)
def test_an_absurd_configuration_is_one_line(model: Path, values: dict[str, Any], said: str) -> None:
    edit(model / "config.json", **values)
    with pytest.raises(ModelError, match=said) as error:
        check_whole(resolve_name(str(model)))
    assert str(model) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ['{"x": ' + "9" * 5000 + "}", '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_json_that_no_reader_takes_is_told_in_our_words(model: Path, text: str) -> None:
    (model / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError, match="tokenizer.*(over 4,300 digits|nested too deeply)"):
        check_whole(resolve_name(str(model)))


@pytest.mark.parametrize("key", ["modules_to_save", "layers_pattern"])
@pytest.mark.parametrize("value", [r"(([a-z_0-9]+\\.?)+)+!", ["lm_head", r"(([a-z_0-9]+\\.?)+)+!"]])
def test_an_expression_where_peft_wants_names_is_refused_before_it_is_matched(
    tmp_path: Path, key: str, value: object
) -> None:
    config = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj"], key: value}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"{key} must be a plain name"):
        read_adapter_config(tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, key: ["model.lm_head", "score-1"]}))
    assert read_adapter_config(tmp_path)[key] == ["model.lm_head", "score-1"]
