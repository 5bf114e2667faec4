"""Files are whole or absent, also on a full disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import polars as pl
import pytest

from helpers_step import INPUTS, SETTINGS, TABLE, contents
from recollect.core.workspace import (
    open_step,
    write_atomic,
    write_parquet,
)
from recollect.errors import RecollectError


class Full:
    """A file whose disk is full after the first bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        self.file.write(bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_an_oserror_and_keeps_the_finished_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: Callable[..., IO[bytes]] = os.fdopen
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        step.write_part(0, TABLE)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdopen", lambda *given: Full(plain(*given)))
            with pytest.raises(OSError, match="No space left") as failure:
                step.write_part(1, TABLE)
        assert failure.value.errno == errno.ENOSPC
        assert not isinstance(failure.value, RecollectError)
        assert list((step.folder / "parts").iterdir()) == [step.part_path(0)]  # room given back
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.has_part(0)
        assert not step.has_part(1)
        step.write_part(1, TABLE)
        assert step.read_parts(2).height == 6


def test_a_real_limit_on_file_size_is_an_oserror_and_leaves_the_old_file(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
import polars as pl
from recollect.core.workspace import write_parquet
path = Path(sys.argv[1])
write_parquet(path, pl.DataFrame({"n": [1]}))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_parquet(path, pl.DataFrame({"n": pl.Series([i * 7919 % 1000003 for i in range(100000)])}))
except OSError as error:
    print(error.errno)
"""
    path = tmp_path / "t.parquet"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == str(errno.EFBIG)
    assert pl.read_parquet(path)["n"].to_list() == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    columns = {
        "text": [f"é{i % 97}" for i in range(5000)],
        "p": [i / 7 for i in range(5000)],
        "none": [None] * 5000,
    }
    write_parquet(tmp_path / "a.parquet", pl.DataFrame(columns))
    chunked = pl.concat([pl.DataFrame(columns)[:1], pl.DataFrame(columns)[1:3000], pl.DataFrame(columns)[3000:]])
    write_parquet(tmp_path / "b.parquet", chunked.rechunk())
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pl.read_parquet(tmp_path / "a.parquet").equals(pl.DataFrame(columns))


def test_a_failing_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, lambda file: file.write(b"old"))

    def fail(file: IO[bytes]) -> None:
        file.write(b"new but half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomic(path, fail)
    assert contents(tmp_path) == {"file": b"old"}
