"""From a name to a loaded model: every unsafe or broken folder is refused, with a way to mend it."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from enumerable import save_model
from recollect.core.machine import Machine
from recollect.errors import ModelError
from recollect.models import (
    ModelRef,
    ModelSettings,
    check_folder,
    find_model,
    load,
    load_weights,
    model_fingerprint,
    resolve,
)
from recollect.models import find as _model_find
from recollect.shipped import SHIPPED

CPU = Machine(1, "test", "cpu", "test", "float32", "test")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny model for all tests; nobody changes it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder)
    return folder


@pytest.fixture
def tiny(made: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(made, tmp_path / "tiny"))


def edit(path: Path, **values: Any) -> None:
    """Set keys of a JSON file."""
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **values}))


def loaded(folder: Path, **given: Any) -> Any:
    """Load a folder on the CPU."""
    return load(ModelSettings(model=str(folder), device="cpu", **given))


def logits(model: Any) -> torch.Tensor:
    """What the model says after some tokens."""
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor([[0, 3, 4, 5]])).logits
    return found


# -- finding -----------------------------------------------------------------------------------------------


def test_a_folder_is_found_where_it_is(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model(str(made)) == made
    monkeypatch.chdir(made.parent)
    assert find_model("tiny") == Path("tiny")
    assert find_model("../" + made.parent.name + "/tiny").samefile(made)


def test_pocket_is_the_folder_in_the_package() -> None:
    assert find_model("pocket") == SHIPPED["pocket"].model
    assert find_model("pocket").parts[-3:] == ("worlds", "quiz", "base")
    assert find_model("pocket-shop").parts[-3:] == ("worlds", "shop", "base")


def test_a_step_directory_stands_for_the_model_in_it(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "step").mkdir()
    tiny.rename(tmp_path / "step/model")
    assert find_model(str(tmp_path / "step")) == tmp_path / "step"  # no manifest: not a step
    (tmp_path / "step/manifest.json").write_text("{}")
    assert find_model(str(tmp_path / "step")) == tmp_path / "step/model"


@pytest.mark.parametrize(
    "name",
    [
        "./none",
        "/none/at/all",
        "../none",
        "none/../../none",
        "org/..",
        "../..x",
        "org/name/more",
        "",
        "  ",
        "~nobody-of-this-name/model",
        "n" * 5000,
        "a\0b",
        "https://example.org/model",
        "-x",
    ],
)
def test_a_name_that_is_no_hub_name_is_refused_at_once_and_never_sent(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_model_find, "_from_hub", lambda *_: pytest.fail("asked the hub"))
    start = time.monotonic()
    with pytest.raises(ModelError, match="no such model folder"):
        find_model(name)
    assert time.monotonic() - start < 1


def test_a_file_instead_of_a_folder_is_refused(made: Path) -> None:
    with pytest.raises(ModelError, match="is a file; a model is a folder"):
        find_model(str(made / "config.json"))


FIND = """
import sys, time
from recollect.errors import ModelError
from recollect.models import find_model
import huggingface_hub
start = time.monotonic()
try:
    find_model("no-such-org/no-such-model")
except ModelError as error:
    print(f"{time.monotonic() - start:.2f}", error)
"""


def find_with(cache: Path, **environment: str) -> tuple[float, str]:
    """Look for a hub model in a process of its own, whose cache is empty; the seconds and the error."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", FIND],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**plain, "HF_HOME": str(cache), **environment},
    )
    seconds, error = done.stdout.split(" ", 1)
    return float(seconds), error


@pytest.mark.parametrize("word", ["1", "true", "ON"])
def test_offline_a_missing_hub_model_is_refused_within_a_second(tmp_path: Path, word: str) -> None:
    seconds, error = find_with(tmp_path, HF_HUB_OFFLINE=word)
    assert seconds < 1
    assert "HF_HUB_OFFLINE forbids fetching it" in error
    assert "no-such-org/no-such-model" in error


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield server.getsockname()[1]


def test_without_a_network_a_missing_hub_model_is_refused_within_seconds(tmp_path: Path, closed_port: int) -> None:
    seconds, error = find_with(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{closed_port}")
    assert seconds < 10
    assert "the hub could not be reached (ConnectError)" in error


def test_a_hub_that_never_answers_is_given_up_within_ten_seconds(tmp_path: Path, silent_port: int) -> None:
    seconds, error = find_with(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{silent_port}")
    assert seconds < 10
    assert "the hub did not answer within 8 seconds" in error


def test_a_host_name_that_takes_for_ever_to_look_up_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_model_find, "_HUB_SECONDS", 0.2)
    wake = threading.Event()
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: wake.wait(20))
    start = time.monotonic()
    try:
        assert "did not answer" in _model_find._ask_hub("org/name", None)
    finally:
        wake.set()
    assert time.monotonic() - start < 5


def test_loading_a_folder_sends_nothing(made: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        server.settimeout(0.2)
        program = (
            "import sys; from recollect.models import load, ModelSettings; "
            "print(load(ModelSettings(model=sys.argv[1], device='cpu')).fingerprint)"
        )
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", program, str(made)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env={**plain, "HF_ENDPOINT": endpoint, "OMP_NUM_THREADS": "1"},
        )
        assert done.stdout.strip() == model_fingerprint(made)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_resolved_name_is_found_checked_and_fingerprinted_once(adapter: Path, tiny: Path, tmp_path: Path) -> None:
    ref = resolve(ModelSettings(model=str(adapter), revision="abc"))
    assert (ref.folder, ref.whole, ref.revision, ref.runs_code) == (adapter, tiny, "abc", False)
    assert ref.fingerprint == model_fingerprint(adapter)
    assert ref.base and ref.base.fingerprint == model_fingerprint(tiny)
    edit(tiny / "config.json", note="changed while the step runs")
    assert ref.fingerprint != model_fingerprint(adapter)
    assert load(ModelSettings(model=str(adapter), device="cpu"), ref).fingerprint == ref.fingerprint
    with pytest.raises(ModelError, match="no such model folder"):
        resolve(ModelSettings(model="./none"))


@pytest.mark.parametrize("shown", [True, False])
def test_loading_leaves_the_progress_bars_of_transformers_as_they_were(made: Path, shown: bool) -> None:
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    try:
        logging.enable_progress_bar() if shown else logging.disable_progress_bar()
        loaded(made)
        assert logging.is_progress_bar_enabled() is shown
    finally:
        logging.enable_progress_bar() if before else logging.disable_progress_bar()


# -- what a folder must hold -------------------------------------------------------------------------------


def test_a_whole_folder_passes_and_loads(made: Path) -> None:
    check_folder(made)
    found = loaded(made)
    assert found.device == "cpu"
    assert found.folder == made
    assert found.fingerprint == model_fingerprint(made)
    assert not found.model.training
    assert found.tokenizer.pad_token == "<pad>"
    assert logits(found.model).shape == (1, 4, 7)


def test_without_a_config_it_is_no_model(tiny: Path) -> None:
    (tiny / "config.json").unlink()
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        check_folder(tiny)


@pytest.mark.parametrize("text", [b"{", b"not json", b"\xff\xfe", b"", b"[" * 100000])
def test_a_config_that_is_not_json_is_refused(tiny: Path, text: bytes) -> None:
    (tiny / "config.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"config\.json is not readable JSON"):
        check_folder(tiny)


def test_a_config_that_is_no_object_is_refused(tiny: Path) -> None:
    (tiny / "config.json").write_text("[1]")
    with pytest.raises(ModelError, match="must hold a JSON object, but holds list"):
        check_folder(tiny)


def test_a_config_of_an_unknown_kind_is_refused(tiny: Path) -> None:
    edit(tiny / "config.json", model_type="of my own", architectures=["Mine"])
    with pytest.raises(ModelError, match="could not be loaded as a causal language model"):
        loaded(tiny)


def test_without_a_tokenizer_it_is_refused(tiny: Path) -> None:
    for file in tiny.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="has a tokenizer that could not be loaded"):
        loaded(tiny)


def test_without_weights_it_is_refused(tiny: Path) -> None:
    (tiny / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no \*\.safetensors weights"):
        check_folder(tiny)


# -- pickles -----------------------------------------------------------------------------------------------


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def plant(folder: Path, name: str, mark: Path) -> None:
    """Put a malicious pickle into the folder, and prove that it works."""
    (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    pickle.loads((folder / name).read_bytes())
    mark.rmdir()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "model.ckpt", "model.pkl"])
def test_pickled_weights_are_refused_and_not_run(tiny: Path, tmp_path: Path, name: str) -> None:
    (tiny / "model.safetensors").unlink()
    plant(tiny, name, tmp_path / "mark")
    with pytest.raises(ModelError, match=f"holds only pickled weights \\({re.escape(name)}\\), which can run code"):
        loaded(tiny)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("decoy", ["decoy.safetensors", "training_args.safetensors"])
def test_pickled_weights_behind_a_decoy_are_not_run(tiny: Path, tmp_path: Path, decoy: str) -> None:
    (tiny / "model.safetensors").rename(tiny / decoy)
    plant(tiny, "pytorch_model.bin", tmp_path / "mark")
    with pytest.raises(ModelError, match="could not be loaded"):
        loaded(tiny)
    assert not (tmp_path / "mark").exists()


def test_a_pickle_beside_good_weights_is_not_run(tiny: Path, tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "training_args.bin", "adapter_model.bin"):
        plant(tiny, name, tmp_path / "mark")
    loaded(tiny)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["adapter_model.bin", "../elsewhere.safetensors", "pytorch_model.bin", "", 7])
def test_a_config_that_names_other_weights_is_refused(tiny: Path, tmp_path: Path, name: object) -> None:
    plant(tiny, "adapter_model.bin", tmp_path / "mark")
    edit(tiny / "config.json", transformers_weights=name)
    with pytest.raises(ModelError, match=r"config\.json names the weights"):
        loaded(tiny)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("value", ["some-org/some-kernel", {"text_config": "some-org/some-kernel"}])
def test_a_config_that_asks_for_a_kernel_from_a_hub_is_refused(tiny: Path, key: str, value: object) -> None:
    edit(tiny / "config.json", **{key: value})
    with pytest.raises(ModelError, match="asks for code from a hub"):
        check_folder(tiny)


# -- code in the folder ------------------------------------------------------------------------------------

CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM

Path({mark!r}).touch()

class OwnConfig(LlamaConfig):
    model_type = "own-llama"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""
AUTO_MAP = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}


@pytest.fixture
def own(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with classes of its own, whose code leaves a mark when it runs."""
    from transformers import dynamic_module_utils
    from transformers.utils import hub

    for module in (dynamic_module_utils, hub):
        monkeypatch.setattr(module, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tiny / "own.py").write_text(CODE.format(mark=str(tmp_path / "mark")))
    edit(tiny / "config.json", model_type="own-llama", architectures=["OwnModel"], auto_map=AUTO_MAP)
    return tiny


def pin_of(folder: Path) -> str:
    """The pin that the refusal prints."""
    with pytest.raises(ModelError, match="wants to run its own Python code") as error:
        loaded(folder)
    found = re.search(r"--trust-remote-code --revision ([0-9a-f]+)\.", str(error.value))
    assert found
    return found[1]


def test_code_in_the_folder_is_refused_without_the_flag_and_not_run(own: Path, tmp_path: Path) -> None:
    assert len(pin_of(own)) == 32
    with pytest.raises(ModelError, match="wants to run its own Python code"):
        loaded(own, revision=pin_of(own))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("revision", [None, "main", "0" * 32, "0123456789abcdef0123456789abcdef01234567"])
def test_trusted_code_with_another_pin_is_refused_and_not_run(own: Path, tmp_path: Path, revision: str | None) -> None:
    with pytest.raises(ModelError, match=f"expected --revision {pin_of(own)}, but got {revision!r}"):
        loaded(own, trust_remote_code=True, revision=revision)
    assert not (tmp_path / "mark").exists()


def test_trusted_code_with_its_pin_runs(own: Path, tmp_path: Path, made: Path) -> None:
    found = loaded(own, trust_remote_code=True, revision=pin_of(own))
    assert (tmp_path / "mark").exists()
    assert type(found.model).__name__ == "OwnModel"
    assert torch.equal(logits(found.model), logits(loaded(made).model))


def test_the_pin_changes_with_every_line_of_code_and_with_a_new_file(own: Path, tmp_path: Path) -> None:
    pins = [pin_of(own)]
    with (own / "own.py").open("a") as file:
        file.write("# one more line\n")
    pins.append(pin_of(own))
    (own / "helper.py").touch()
    pins.append(pin_of(own))
    (own / "sub").mkdir()
    (own / "helper.py").rename(own / "sub/helper.py")
    pins.append(pin_of(own))
    assert len(set(pins)) == 4
    with pytest.raises(ModelError, match="pinned revision"):
        loaded(own, trust_remote_code=True, revision=pins[0])
    assert not (tmp_path / "mark").exists()


def test_a_tokenizer_with_code_of_its_own_needs_the_pin_too(tiny: Path) -> None:
    edit(tiny / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.OwnTokenizer", None]})
    (tiny / "own.py").touch()
    pin = pin_of(tiny)
    with pytest.raises(ModelError, match="pinned revision"):
        loaded(tiny, trust_remote_code=True)
    check_folder(tiny, trust_remote_code=True, revision=pin)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_another_repository_is_refused_even_with_the_flag(tiny: Path, file: str) -> None:
    edit(tiny / file, auto_map={"AutoTokenizer": [None, "other-org/other--own.OwnTokenizer"]})
    with pytest.raises(ModelError, match="wants to run code of another repository"):
        loaded(tiny, trust_remote_code=True, revision="0" * 40)


def test_a_hub_model_in_the_cache_is_pinned_by_its_commit(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    commit, other = "a" * 40, "b" * 40
    cache = tmp_path / "cache"
    snapshot = cache / "models--org--own/snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    own.rename(snapshot)
    elsewhere = Path(shutil.copytree(snapshot, tmp_path / "models--org--own/snapshots" / commit))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    check_folder(snapshot, trust_remote_code=True, revision=commit)
    with pytest.raises(ModelError, match=f"expected --revision {commit}, but got '{other}'"):
        check_folder(snapshot, trust_remote_code=True, revision=other)
    with pytest.raises(ModelError, match="expected --revision"):  # a folder that only looks like the cache
        check_folder(elsewhere, trust_remote_code=True, revision=commit)


def test_the_flag_alone_runs_no_undeclared_code(tiny: Path, tmp_path: Path) -> None:
    (tiny / "custom_generate").mkdir()
    (tiny / "custom_generate/generate.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\ndef generate(): ...\n")
    loaded(tiny, trust_remote_code=True)
    assert not (tmp_path / "mark").exists()


# -- broken weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_refused_by_name(tiny: Path, value: float) -> None:
    weights = load_file(tiny / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = value
    save_file(weights, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.up_proj\.weight holds NaN or infinite"):
        loaded(tiny)


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.999])
def test_truncated_weights_are_refused(tiny: Path, kept: float) -> None:
    file = tiny / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        loaded(tiny)


def test_a_missing_weight_is_refused_and_not_made_up(tiny: Path) -> None:
    weights = load_file(tiny / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights \(lm_head\.weight\); they would be random"):
        loaded(tiny)


def test_weights_of_another_shape_are_refused_with_both_shapes(tiny: Path) -> None:
    edit(tiny / "config.json", vocab_size=9)
    with pytest.raises(ModelError, match=r"lm_head\.weight is 7 by 16 in the checkpoint, 9 by 16 by config\.json"):
        loaded(tiny)


# -- shards ------------------------------------------------------------------------------------------------


def shard(folder: Path) -> Path:
    """Store the weights in two files with an index, which is returned."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    files = {name: f"model-0000{1 + (at > 5)}-of-00002.safetensors" for at, name in enumerate(names)}
    for file in set(files.values()):
        chosen = {name: weights[name] for name in names if files[name] == file}
        save_file(chosen, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    edit(index, metadata={"total_size": 1}, weight_map=files)
    return index


def test_a_model_in_shards_is_the_model(tiny: Path, made: Path) -> None:
    shard(tiny)
    assert torch.equal(logits(loaded(tiny).model), logits(loaded(made).model))


@pytest.mark.parametrize("where", ["../stolen.safetensors", "{outside}", "sub/../../stolen.safetensors", "..", ""])
def test_an_index_that_points_outside_the_folder_is_refused(tiny: Path, tmp_path: Path, where: str) -> None:
    index = shard(tiny)
    stolen = tmp_path / "stolen.safetensors"
    (tiny / "model-00001-of-00002.safetensors").rename(stolen)
    (tiny / "sub").mkdir()
    files = json.loads(index.read_text())["weight_map"]
    where = where.format(outside=stolen)
    edit(index, weight_map={name: where if "00001" in file else file for name, file in files.items()})
    with pytest.raises(ModelError, match="which lie outside the folder"):
        loaded(tiny)


def test_an_index_beside_whole_weights_is_checked_too(tiny: Path) -> None:
    edit(tiny / "model.safetensors.index.json", metadata={}, weight_map={"a": "/etc/passwd"})
    with pytest.raises(ModelError, match="which lie outside the folder"):
        check_folder(tiny)


def test_a_missing_shard_is_refused(tiny: Path) -> None:
    shard(tiny)
    (tiny / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"'model-00002-of-00002\.safetensors', which are not there"):
        check_folder(tiny)


def test_a_pickled_shard_is_refused(tiny: Path, tmp_path: Path) -> None:
    index = shard(tiny)
    plant(tiny, "model.bin", tmp_path / "mark")
    edit(index, weight_map={"model.norm.weight": "model.bin"})
    with pytest.raises(ModelError, match="not there as safetensors"):
        loaded(tiny)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("text", ["{", "{}", '{"weight_map": []}'])
def test_a_broken_index_is_refused(tiny: Path, text: str) -> None:
    index = shard(tiny)
    index.write_text(text)
    with pytest.raises(ModelError, match=r"index\.json (is not readable JSON|holds no weight_map)"):
        check_folder(tiny)


# -- fingerprints ------------------------------------------------------------------------------------------


def test_the_fingerprint_is_the_contents_and_not_the_name_or_the_time(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another name"
    copy.mkdir()
    for file in sorted(made.iterdir(), reverse=True):  # another order on disk, and new times
        (copy / file.name).write_bytes(file.read_bytes())
    os.utime(copy / "model.safetensors", (1, 1))
    (copy / "README.md").write_text("decides nothing")
    (copy / "training_args.bin").write_bytes(b"decides nothing")
    assert model_fingerprint(copy) == model_fingerprint(made)


def test_any_byte_of_weights_tokenizer_or_config_changes_the_fingerprint(tiny: Path) -> None:
    before = model_fingerprint(tiny)
    files = sorted(file for file in tiny.iterdir() if file.is_file())
    assert {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    } <= {file.name for file in files}
    seen = {before}
    for file in files:
        data = file.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            seen.add(model_fingerprint(tiny))
        file.write_bytes(data)
        assert model_fingerprint(tiny) == before
    assert len(seen) == 1 + 3 * len(files)


@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "special_tokens_map.json", "vocab.txt", "own.py", "b.safetensors"]
)
def test_a_new_file_that_decides_changes_the_fingerprint(tiny: Path, name: str) -> None:
    before = model_fingerprint(tiny)
    (tiny / name).write_text("")
    assert model_fingerprint(tiny) != before


def test_bytes_that_move_from_one_file_to_the_next_change_the_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for at in range(4):
        folder = tmp_path / str(at)
        folder.mkdir()
        text = "ab\0merges.txt\0cd"
        (folder / "config.json").write_text(text[: 3 * at])
        (folder / "merges.txt").write_text(text[3 * at :])
        prints.add(model_fingerprint(folder))
    assert len(prints) == 4


# -- adapters ----------------------------------------------------------------------------------------------


@pytest.fixture
def adapter(tiny: Path, tmp_path: Path) -> Path:
    """A LoRA adapter of `tiny` whose B matrices are not zero."""
    from peft import LoraConfig, get_peft_model

    model, _ = load_weights(ModelRef.at(tiny), CPU)
    torch.manual_seed(1)
    wrapped = get_peft_model(
        model, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
    )
    wrapped.save_pretrained(tmp_path / "adapter")
    edit(tmp_path / "adapter/adapter_config.json", base_model_name_or_path=str(tiny))
    return tmp_path / "adapter"


def test_an_adapter_loads_merged_on_its_base(adapter: Path, tiny: Path) -> None:
    found = loaded(adapter).model
    base = load_file(tiny / "model.safetensors")
    low = load_file(adapter / "adapter_model.safetensors")
    merged = dict(found.named_parameters())
    assert type(found).__name__ == "LlamaForCausalLM"
    assert set(merged) == set(base)
    for name, weight in base.items():
        part = f"base_model.model.{name.removesuffix('.weight')}"
        change = torch.zeros_like(weight)
        if f"{part}.lora_A.weight" in low:  # W + (alpha / r) B A, Hu et al. 2021, section 4.1
            change = 4 / 2 * low[f"{part}.lora_B.weight"] @ low[f"{part}.lora_A.weight"]
        assert torch.allclose(merged[name], weight + change, atol=1e-6), name
        assert bool(change.any()) is (("q_proj" in name) or ("up_proj" in name)), name


def test_an_adapter_whose_base_is_missing_is_refused(adapter: Path, tiny: Path) -> None:
    shutil.rmtree(tiny)
    for attempt in (loaded, check_folder, model_fingerprint):
        with pytest.raises(ModelError, match="is an adapter, and its base is missing: no such model folder"):
            attempt(adapter)


@pytest.mark.parametrize("name", [None, ""])
def test_an_adapter_without_the_name_of_its_base_is_refused(adapter: Path, name: str | None) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path=name)
    with pytest.raises(ModelError, match="names no base model"):
        loaded(adapter)


def test_an_adapter_on_itself_or_on_another_is_refused(adapter: Path) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path=str(adapter))
    for attempt in (loaded, model_fingerprint):
        with pytest.raises(ModelError, match="is an adapter on another adapter"):
            attempt(adapter)


def test_a_pickled_adapter_is_refused_and_not_run(adapter: Path, tmp_path: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "decoy.safetensors")
    plant(adapter, "adapter_model.bin", tmp_path / "mark")
    with pytest.raises(ModelError, match=r"only pickled weights \(adapter_model\.bin\)"):
        loaded(adapter)
    assert not (tmp_path / "mark").exists()


def test_a_truncated_adapter_is_refused(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ModelError, match="could not be loaded as an adapter of its base"):
        loaded(adapter)


def test_an_adapter_of_another_shape_is_refused(adapter: Path) -> None:
    edit(adapter / "adapter_config.json", r=3)
    with pytest.raises(ModelError, match="could not be loaded as an adapter of its base"):
        loaded(adapter)


def test_an_adapter_with_a_missing_matrix_is_refused_and_not_made_up(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    del weights[sorted(weights)[0]]
    save_file(weights, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="missing adapter keys"):
        loaded(adapter)


def test_an_adapter_that_is_not_finite_is_refused(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    weights[sorted(weights)[0]][0, 0] = float("nan")
    save_file(weights, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="holds NaN or infinite values"):
        loaded(adapter)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "peft_type='PROMPT_TUNING'"),
        ({"peft_type": None}, "peft_type=None"),
        ({"megatron_config": {"a": 1}, "megatron_core": "antigravity"}, "megatron_config"),
    ],
)
def test_an_adapter_of_a_kind_that_may_import_modules_is_refused(
    adapter: Path, values: dict[str, Any], said: str
) -> None:
    edit(adapter / "adapter_config.json", **values)
    with pytest.raises(ModelError, match=said):
        loaded(adapter)
    assert "antigravity" not in sys.modules


def test_an_adapter_on_a_base_with_code_needs_the_pin_of_that_code(adapter: Path, own: Path, tmp_path: Path) -> None:
    pin = pin_of(own)
    with pytest.raises(ModelError, match="wants to run its own Python code"):
        loaded(adapter)
    with pytest.raises(ModelError, match="pinned revision"):
        loaded(adapter, trust_remote_code=True)
    assert not (tmp_path / "mark").exists()
    assert type(loaded(adapter, trust_remote_code=True, revision=pin).model).__name__ == "OwnModel"


def test_an_adapters_fingerprint_is_its_weights_its_settings_and_its_base(
    adapter: Path, tiny: Path, tmp_path: Path
) -> None:
    config = adapter / "adapter_config.json"
    before = model_fingerprint(adapter)
    assert before != model_fingerprint(tiny)
    moved = Path(shutil.copytree(tiny, tmp_path / "moved"))
    edit(config, base_model_name_or_path=str(moved))
    assert model_fingerprint(adapter) == before  # the base's contents count, not its place
    edit(moved / "config.json", note="another base")
    assert model_fingerprint(adapter) != before
    edit(config, base_model_name_or_path=str(tiny))
    assert model_fingerprint(adapter) == before
    edit(config, lora_alpha=8)  # decides how much of the adapter is added
    assert model_fingerprint(adapter) != before
    edit(config, lora_alpha=4)
    weights = load_file(adapter / "adapter_model.safetensors")
    weights[sorted(weights)[0]][0, 0] += 1
    save_file(weights, adapter / "adapter_model.safetensors")
    assert model_fingerprint(adapter) != before
