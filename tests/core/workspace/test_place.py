"""Where a step directory may be made, and what is refused there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from helpers_step import INPUTS, SETTINGS, contents, make
from recollect.core.workspace import (
    open_step,
)
from recollect.errors import StepError


def test_out_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StepError, match="exists and is not a step directory"):
        make(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "a file"


def test_out_inside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StepError, match="a part of the path is a file"):
        make(tmp_path / "file/run")
    with pytest.raises(StepError, match="a part of the path is a file"):
        make(tmp_path / "file/deep/run")
    assert contents(tmp_path) == {"file": b"a file"}


def test_an_unwritable_place_is_refused() -> None:
    program = """
import os, sys
from pathlib import Path
from recollect.errors import StepError
from recollect.core.workspace import open_step
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)  # root may write anywhere
for name in ("run", "deep/run", "taken"):
    try:
        with open_step("probe", {}, {}, Path(sys.argv[1]) / name):
            print("opened")
    except StepError as error:
        print("no permission" in str(error))
"""
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, whose parents are closed to others
        folder = Path(name)
        (folder / "taken.partial").mkdir(mode=0o555)
        folder.chmod(0o555)
        os.utime(folder)
        done = subprocess.run(
            [sys.executable, "-c", program, name], capture_output=True, text=True, timeout=60, check=True
        )
        folder.chmod(0o755)
        (folder / "taken.partial").chmod(0o755)
    assert done.stdout.split() == ["True"] * 3


@pytest.mark.parametrize("name", ["run.partial", "deep/run.partial", ".partial"])
def test_the_partial_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StepError, match=r"ends in \.partial"):
        make(tmp_path / name)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["n" * 300, "n" * 252, "a\0b"])
def test_a_name_the_system_does_not_take_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StepError, match="Give --out another"):
        make(tmp_path / name)


def test_a_symlinked_out_is_made_at_the_end_of_the_link_and_found_through_it(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk/run")
    assert make(tmp_path / "link").path == tmp_path / "disk/run"
    assert (tmp_path / "link").is_symlink()
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "link") as step:
        assert step.done
    with pytest.raises(StepError, match="now 5"):
        make(tmp_path / "link", {"samples": 5})


def test_a_symlinked_parent_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    make(tmp_path / "link/run")
    assert sorted(contents(tmp_path / "disk")) == ["run/manifest.json", "run/t.parquet"]


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(StepError):
        make(tmp_path / "a")


def test_dots_in_out_lead_where_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert make(Path("../beside")).path == tmp_path / "beside"
    assert make(Path("new/../plain")).path == tmp_path / "here/plain"
    for taken in (".", "..", "/"):
        with pytest.raises(StepError, match="exists and is not a step directory"):
            make(Path(taken))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["beside", "here"]
    assert [file.name for file in (tmp_path / "here").iterdir()] == ["plain"]
