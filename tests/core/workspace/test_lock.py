"""One holder at a time; nothing planted is followed; no part of it needs POSIX to be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recollect.core.workspace import locked
from recollect.errors import StepBusy, StepError


def test_a_second_holder_is_refused_with_the_text_given_and_the_lock_is_free_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, lambda: "mine"):
        with pytest.raises(StepBusy, match="^yours$"), locked(path, lambda: "yours"):
            pytest.fail("held twice")
        program = f"""
from pathlib import Path
from recollect.core.workspace import locked
with locked(Path({str(path)!r}), lambda: "yours"):
    pass
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert "StepBusy: yours" in done.stderr
    with locked(path, lambda: "mine"):
        assert path.read_bytes() == b""


def test_a_link_a_pipe_or_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, what in (("link", "a link"), ("dangling", "a link"), ("pipe", "no regular"), ("folder", "no regular")):
        with pytest.raises(StepError, match=f"is {what}.*never makes"), locked(tmp_path / name, lambda: "busy"):
            pytest.fail("locked")
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "none").exists()


def test_a_folder_that_is_gone_is_made_again(tmp_path: Path) -> None:
    with locked(tmp_path / "gone" / "lock", lambda: "busy"):
        assert (tmp_path / "gone" / "lock").is_file()


def test_the_core_is_imported_where_there_is_no_posix(tmp_path: Path) -> None:
    program = """
import os, sys
for name in ("fcntl", "resource", "pwd", "grp"):
    sys.modules[name] = None
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "sched_getaffinity"):
    delattr(os, name)
import recollect.core.machine, recollect.core.native, recollect.core.workspace
from pathlib import Path
recollect.core.workspace.write_json(Path(sys.argv[1]), {})
"""
    path = tmp_path / "file.json"
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert path.read_text() == "{}\n", done.stderr
