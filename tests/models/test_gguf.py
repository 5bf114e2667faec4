"""A GGUF file as a base: widened once, found again by its content, said in words, refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers_gguf import HEADS, HIDDEN, LAYERS, WIDTH, write_gguf
from recollect.errors import MissingExtra, ModelError
from recollect.models import ModelSettings, find_model, load, machine_of
from recollect.models.gguf_file import RECORD, read_header, widened_from

gguf = pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders go."""
    monkeypatch.setenv("RECOLLECT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def in_file(file: Path, name: str) -> torch.Tensor:
    """A tensor of the file, by the reference dequantisation of the gguf package."""
    for tensor in gguf.GGUFReader(file).tensors:
        if tensor.name == name:
            return torch.from_numpy(np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type)))
    raise KeyError(name)


def test_the_weights_are_those_of_the_file_widened(written: Path, place: Path) -> None:
    found = load(ModelSettings(model=str(written), device="cpu", dtype="bfloat16"))
    layer = found.model.model.layers[0]
    assert torch.equal(layer.mlp.gate_proj.weight, in_file(written, "blk.0.ffn_gate.weight").bfloat16())
    assert torch.equal(layer.mlp.down_proj.weight, in_file(written, "blk.0.ffn_down.weight").bfloat16())
    assert torch.equal(found.model.get_input_embeddings().weight, in_file(written, "token_embd.weight").bfloat16())
    assert found.folder.parent == place / "gguf" and found.folder.name.startswith("tiny.Q8_0-")
    config = found.model.config
    assert (config.hidden_size, config.num_hidden_layers) == (WIDTH, LAYERS)
    assert (config.intermediate_size, config.num_attention_heads) == (HIDDEN, HEADS)
    assert found.tokenizer.chat_template and found.tokenizer.eos_token_id == 2


@pytest.mark.parametrize("way", ["file", "folder", "config and projector beside it"])
def test_the_file_or_a_folder_with_it_alone_is_one_model(written: Path, tmp_path: Path, way: str) -> None:
    wanted = find_model(written)
    folder = tmp_path / "own"
    folder.mkdir()
    shutil.copy(written, folder / "model.GGUF" if way == "file" else folder / "tiny.Q8_0.gguf")
    if way == "config and projector beside it":
        (folder / "config.json").write_text("{}")
        (folder / "mmproj-tiny.gguf").write_bytes(b"not read")
    named = folder / "model.GGUF" if way == "file" else folder
    found = find_model(named)
    assert found.name.rpartition("-")[2] == wanted.name.rpartition("-")[2]
    one, other = (load(ModelSettings(model=str(at), device="cpu")).fingerprint for at in (written, named))
    assert one == other


def test_it_is_widened_once_and_again_only_after_it_is_gone(
    written: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recollect.models import gguf_file

    folder = find_model(written)
    monkeypatch.setattr(gguf_file, "convert", lambda *_: pytest.fail("widened again"))
    copy = tmp_path / "tiny.Q8_0.gguf"
    shutil.copy(written, copy)
    assert find_model(copy) == folder and find_model(written) == folder
    assert [path.name for path in (place / "gguf").iterdir()] == [folder.name]
    monkeypatch.undo()
    monkeypatch.setenv("RECOLLECT_MODELS", str(place))
    (folder / RECORD).unlink()  # as a process leaves it that was killed while it renamed
    shutil.copy(written, tmp_path / "again.gguf")
    assert find_model(tmp_path / "again.gguf").is_dir()


def test_what_it_was_is_said_beside_the_number_format(written: Path) -> None:
    folder = find_model(written)
    assert widened_from(folder) == "dequantised from Q8_0"
    record = json.loads((folder / RECORD).read_text())
    assert record["architecture"] == "llama" and record["dtype"] == "bfloat16" and record["formats"]["F32"] == 5 * WIDTH
    for given in ("auto", "float32"):
        machine = machine_of(ModelSettings(model=str(written), device="cpu", dtype=given), folder)
        assert machine.dtype_reason.endswith("; dequantised from Q8_0") and "dequantised" in machine.line()
    assert "dequantised" not in machine_of(ModelSettings(model="pocket", device="cpu")).line()


@pytest.mark.parametrize(("kind", "dtype"), [("F32", "float32"), ("F16", "float16"), ("BF16", "bfloat16")])
def test_weights_that_are_plain_numbers_keep_their_format(tmp_path: Path, kind: str, dtype: str) -> None:
    file = write_gguf(tmp_path / "plain.gguf", kind=kind)
    folder = find_model(file)
    found = load(ModelSettings(model=str(file), device="cpu", dtype="float32"))
    assert torch.equal(found.model.model.layers[1].mlp.up_proj.weight, in_file(file, "blk.1.ffn_up.weight").float())
    assert widened_from(folder) == f"stored as {kind} in a GGUF file"
    assert json.loads((folder / "config.json").read_text())["dtype"] == dtype


def broken(path: Path, written: Path, how: str) -> Path:
    data = written.read_bytes()
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "text":
        path.write_text("no model")
    elif how == "empty":
        path.write_bytes(b"")
    return path


@pytest.mark.parametrize("how", ["cut", "text", "empty"])
def test_a_file_that_is_no_whole_gguf_is_refused(tmp_path: Path, written: Path, place: Path, how: str) -> None:
    with pytest.raises(ModelError, match=r"bad\.gguf"):
        find_model(broken(tmp_path / "bad.gguf", written, how))
    assert not list(place.rglob("*bad*"))


def test_refused_by_name(tmp_path: Path, written: Path) -> None:
    other = write_gguf(tmp_path / "other.gguf", architecture="plamo")
    with pytest.raises(
        ModelError, match=r"other\.gguf, a GGUF of the architecture 'plamo', cannot be widened by trans"
    ):
        find_model(other)
    with pytest.raises(ModelError, match="holds a adapter|holds an adapter"):
        find_model(write_gguf(tmp_path / "lora.gguf", kind="F32", general="adapter"))
    shutil.copy(written, tmp_path / "m-00001-of-00003.gguf")
    with pytest.raises(ModelError, match=r"one part of a split GGUF.*llama-gguf-split --merge"):
        find_model(tmp_path / "m-00001-of-00003.gguf")
    with pytest.raises(ModelError, match=r"no such GGUF file: .*gone\.gguf"):
        find_model(tmp_path / "gone.gguf")
    folder = tmp_path / "several"
    folder.mkdir()
    for name in ("a.Q4_0.gguf", "b.Q8_0.gguf"):
        shutil.copy(written, folder / name)
    with pytest.raises(ModelError, match=r"holds 2 GGUF files\. Name the one that is meant, such as .*a\.Q4_0\.gguf"):
        find_model(folder)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds NaN or infinite values"):
        find_model(write_gguf(tmp_path / "nan.gguf", kind="F32", spoil=True))


def test_no_room_is_said_before_the_work(tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 10))
    shutil.copy(written, tmp_path / "room.gguf")
    with pytest.raises(ModelError, match=r"room\.gguf widened to bfloat16 takes"):
        find_model(tmp_path / "room.gguf")


def test_without_the_package_the_extra_is_named(tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    shutil.copy(written, tmp_path / "extra.gguf")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtra, match=r"a GGUF file as a model needs gguf.*recollect\[models\]"):
        find_model(tmp_path / "extra.gguf")


def test_the_header_counts_weights_by_format(written: Path) -> None:
    header = read_header(written)
    assert header.architecture == "llama" and header.format == "Q8_0" and header.dtype == "bfloat16"
    assert sum(header.formats.values()) == sum(int(tensor.n_elements) for tensor in gguf.GGUFReader(written).tensors)
