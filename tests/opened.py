"""Which files below a folder are opened meanwhile, by Python or by native libraries: Linux's inotify, by hand."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_OPENED, _FOLDER, _OVERFLOW = 0x20, 0x40000000, 0x4000


class Opened:
    """`with Opened(folder) as opened: ...`; then `opened.files` are the files that were opened inside."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, set[Path]()

    def __enter__(self) -> Opened:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._handle >= 0, os.strerror(ctypes.get_errno())
        self._folders = {}
        for folder in [self.folder, *(path for path in self.folder.rglob("*") if path.is_dir())]:
            number = self._libc.inotify_add_watch(self._handle, os.fsencode(folder), _OPENED)
            assert number >= 0, os.strerror(ctypes.get_errno())
            self._folders[number] = folder
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while True:
                self._take(os.read(self._handle, 1 << 16))
        except BlockingIOError:
            pass
        finally:
            os.close(self._handle)

    def _take(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            number, mask, _, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16 : at + 16 + length].rstrip(b"\0")
            at += 16 + length
            assert not mask & _OVERFLOW, "too many files were opened to tell"
            if not mask & _FOLDER:
                self.files.add(self._folders[number] / os.fsdecode(name))
