"""Code in a model's folder does not run unless it is trusted and pinned."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from helpers_models import edit, loaded, logits, pin_of
from recollect.errors import ModelError
from recollect.models import (
    check_folder,
)


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
