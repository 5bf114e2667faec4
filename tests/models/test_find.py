"""Where a model is found, and when a name is never sent to a hub."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_models import edit, loaded
from recollect.errors import ModelError
from recollect.models import (
    ModelSettings,
    find_model,
    load,
    model_fingerprint,
    resolve,
)
from recollect.models import find as _model_find
from recollect.shipped import SHIPPED


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
        assert "did not answer" in _model_find.ask_hub("org/name", None)
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
    with pytest.raises(ModelError, match="no such model folder"):
        find_model(Path("no/such/folder"))


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
