"""What makes a start quick says the same as what was slow: the look for NaN, the hash in a thread."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from recollect.models import find
from recollect.models.files import all_finite
from recollect.models.find import hash_ahead, model_fingerprint
from recollect.shipped import SHIPPED

POCKET = SHIPPED["pocket"].model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 1, 4_321, 9_999])
def test_one_bad_number_anywhere_is_found(dtype: torch.dtype, bad: float, place: int) -> None:
    values = torch.randn(100, 100, generator=torch.Generator().manual_seed(0)).to(dtype)
    values[0, 2], values[0, 3] = torch.finfo(dtype).max, torch.finfo(dtype).min  # large, and still numbers
    assert all_finite(values) and all_finite(values.T)
    values.view(-1)[place] = bad
    assert not all_finite(values) and not all_finite(values.T)
    assert all_finite(values[:0])


def test_what_was_hashed_ahead_is_taken_once_and_is_the_same() -> None:
    wanted = model_fingerprint(POCKET)
    hash_ahead("pocket")
    assert POCKET in find._AHEAD
    assert model_fingerprint(POCKET) == wanted
    assert POCKET not in find._AHEAD
    assert model_fingerprint(POCKET) == wanted


def test_a_hash_that_fails_ahead_is_made_again_by_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, real, main = model_fingerprint(POCKET), find._fingerprint, threading.current_thread()

    def fails_ahead(folder: Path, base: str | None = None) -> str:
        if threading.current_thread() is not main:
            raise OSError("the disk is away")
        return real(folder, base)

    monkeypatch.setattr(find, "_fingerprint", fails_ahead)
    hash_ahead("pocket")
    assert model_fingerprint(POCKET) == wanted


@pytest.mark.parametrize("name", ["no-such-folder", "org/name", "smollm2", "~nobody-at-all/x", "a" * 5000, "\0"])
def test_ahead_nothing_is_fetched_and_nothing_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RECOLLECT_MODELS", str(tmp_path))
    monkeypatch.setattr(find, "_AHEAD", {})
    hash_ahead(name)
    assert find._AHEAD == {}
