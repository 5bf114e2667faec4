"""The model of a fit changes from one whole one to the next, wherever a kill falls; its name changes with it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recollect.core.workspace.files import is_temporary
from recollect.experiments.fit import keep as keeping
from recollect.experiments.fit.keep import keep, kept, kept_value, settle

PLACES = [(Path, "rename"), (Path, "replace"), (Path, "mkdir"), (shutil, "rmtree"), (shutil, "copyfile")]
"""What changes the disk in `keep`, beside the writing of JSON."""


class Killed(BaseException):
    """As SIGKILL would end it there."""


@dataclass
class Fit:
    """A fit's folder, and the steps whose models it may hold."""

    root: Path

    def __post_init__(self) -> None:
        self.folder = self.root / "fit.partial"
        (self.folder / "steps").mkdir(parents=True)
        for name in ("plain", "trial"):
            (self.root / name / "model").mkdir(parents=True)
            (self.root / name / "model" / "model.safetensors").write_text(name)
            (self.root / name / "model" / "config.json").write_text("{}")

    def keep(self, name: str) -> None:
        ground: Any = SimpleNamespace(
            step=SimpleNamespace(folder=self.folder),
            steps=self.folder / "steps",
            base=SimpleNamespace(name="base"),
            parts=SimpleNamespace(train=SimpleNamespace(revision=None)),
        )
        keep(ground, self.root / name, name, float(len(name)))

    def held(self) -> str:
        """What its model is; whole, or "" where there is none."""
        model = self.folder / "model"
        if not model.exists():
            return ""
        assert {file.name for file in model.iterdir()} == {"model.safetensors", "config.json", "README.md"}
        assert (model / "README.md").read_text() == (model / "model.safetensors").read_text()
        return (model / "model.safetensors").read_text()


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    def card(_: Any, folder: Path, model: Path, *__: Any) -> None:
        (folder / "README.md").write_text(model.name)

    monkeypatch.setattr(keeping, "find_model", lambda *_: None)
    monkeypatch.setattr(keeping, "_card", card)
    fit = Fit(tmp_path)
    fit.keep("plain")
    return fit


def killed_at(place: int, monkeypatch: pytest.MonkeyPatch, fit: Fit) -> bool:
    """Keep the trial's model and be killed before the nth change of the disk; whether there are as many."""
    left = place

    def count(real: Any) -> Any:
        def change(*given: Any, **how: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*given, **how)

        return change

    with monkeypatch.context() as patched:
        for owner, name in PLACES:
            patched.setattr(owner, name, count(getattr(owner, name)))
        patched.setattr(keeping, "write_json", count(keeping.write_json))
        try:
            fit.keep("trial")
        except Killed:
            return True
    return False


def test_wherever_it_is_killed_the_next_life_has_a_whole_model_and_its_name(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, place = [], 0
    while killed_at(place, monkeypatch, fit):
        settle(fit.folder)
        assert fit.held() == kept(fit.folder) != ""
        assert kept_value(fit.folder) == len(fit.held())
        assert {one.name for one in fit.folder.iterdir()} == {"model", "steps"}
        left = {one.name for one in (fit.folder / "steps").iterdir()}
        assert {name for name in left if not is_temporary(name)} == {"best.json"}
        seen.append(fit.held())
        fit.keep("plain")
        place += 1
    assert seen == sorted(seen) and {*seen} == {"plain", "trial"}  # from one moment on it is the new one
    assert fit.held() == kept(fit.folder) == "trial"


def test_a_full_disk_leaves_the_model_before(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeping, "_link", full)
    with pytest.raises(OSError, match="No space"):
        fit.keep("trial")
    assert fit.held() == kept(fit.folder) == "plain"


def test_one_without_any_model_yet_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    settle(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["steps"]
    (tmp_path / "steps" / "best.json").write_text(json.dumps({"what": "plain"}))
    settle(tmp_path)
    assert kept(tmp_path) == "plain"
