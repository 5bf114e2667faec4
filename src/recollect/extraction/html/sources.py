"""Where pages come from: HTML files, folders of them, WARC archives, lists of addresses with files. Nothing is fetched.

Notable choices
- A page is named by its file, below the folder and without its ending; by a hash of its address in an archive or list.
- A link or a `..` that leads out of the folder is refused, page by page: the folder given is all that is read.
- Of an archive, the HTML responses of status 2xx are read, in its order.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recollect.core.tables import ENDINGS, digest, read_bytes, read_rows
from recollect.errors import InputError
from recollect.extraction import need_pages
from recollect.extraction.html.json_ld import whole

HTML_ENDINGS = (".html", ".htm", ".html.gz", ".htm.gz")
WARC_ENDINGS = (".warc", ".warc.gz")
_HTML = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True)
class Source:
    """One page that can be read."""

    page_id: str
    url: str
    """Empty when not known."""
    read: Callable[[int], tuple[bytes, str | None]]
    """Gives at most that many bytes and one more, and the HTTP content type if known; raises InputError."""


def find_pages(path: Path) -> tuple[list[Source], str]:
    """The pages at a path in a fixed order, and a hash of their content. Raises InputError when there are none."""
    name = path.name.lower()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.name.lower().endswith(HTML_ENDINGS))
        names = _unique(_stem(file.relative_to(path).as_posix()) for file in files)
        sources = [_file_source(file, path, page_id) for file, page_id in zip(files, names, strict=True)]
        mark = _hash_files(files, path)
    elif not path.is_file():
        raise InputError(f"no such file or folder: {path}. Give pages that are on this machine; nothing is fetched.")
    elif name.endswith(WARC_ENDINGS):
        sources, mark = _archived(path), _hash_files([path], path.parent)
    elif name.endswith(HTML_ENDINGS):
        sources, mark = [_file_source(path, path.parent, _stem(path.name))], _hash_files([path], path.parent)
    elif path.suffix.lower() in ENDINGS:
        sources, mark = _listed(path)
    else:
        raise InputError(
            f"{path} is refused: give a folder, a file ending in {', '.join((*HTML_ENDINGS, *WARC_ENDINGS))}, or a "
            f"list with the columns url and path ({', '.join(ENDINGS)})."
        )
    if not sources:
        missing = (
            f"file ending in {', '.join(HTML_ENDINGS)}"
            if path.is_dir()
            else "WARC record of an HTML response with status 2xx"
        )
        raise InputError(f"{path} holds no page: no {missing}.")
    return sources, mark


# -- files and lists of files --------------------------------------------------------------------------------------


def _file_source(file: Path, folder: Path, page_id: str, url: str = "") -> Source:
    def read(limit: int) -> tuple[bytes, str | None]:
        _check_inside(file, folder)
        return _read_html(file, limit), None

    return Source(page_id, whole(url), read)


def _read_html(file: Path, limit: int) -> bytes:
    """At most `limit` bytes of a page and one more, unpacked when its name ends in .gz. Raises InputError."""
    try:
        with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as opened:
            return opened.read(limit + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"the page cannot be unpacked: {error}.") from None
    except OSError as error:
        raise InputError(f"the page cannot be read: {error.strerror}.") from None


def _listed(path: Path) -> tuple[list[Source], str]:
    data = read_bytes(path)
    urls, files, given = [], [], []
    for row in read_rows(data, path):
        url, file = row.values.get("url"), row.values.get("path")
        if not isinstance(url, str) or not isinstance(file, str) or not file:
            raise InputError(f"{path}: {row.where} must have the columns url and path (a file already downloaded).")
        urls.append(url)
        files.append(path.parent / file)
        given.append(row.values.get("page_id"))
    names = _unique(whole(str(name)) if name else _url_id(url) for name, url in zip(given, urls, strict=True))
    sources = [_file_source(file, path.parent, name, url) for file, name, url in zip(files, names, urls, strict=True)]
    return sources, digest(iter([("list", data), ("files", _hash_files(files, path.parent).encode())]))


def _check_inside(file: Path, folder: Path) -> None:
    """Refuse what lies outside, and pipes and devices, which would be waited for or read without end."""
    try:
        inside = file.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        inside = False
    if not inside:
        raise InputError("the page lies outside the folder that was given, by a link or by `..`. Move it inside.")
    if file.exists() and not file.is_file() and not file.is_dir():
        raise InputError("the page is a pipe or a device. Take it out of the folder.")


def _hash_files(files: Iterable[Path], folder: Path) -> str:
    """A hash of names and content; a file that cannot be read counts by its name, and fails when its turn comes."""
    made = hashlib.blake2b(digest_size=16)
    for file in files:
        name = file.relative_to(folder) if file.is_relative_to(folder) else file.name
        made.update(f"{name}\x1f".encode(errors="surrogateescape"))  # names that are no UTF-8
        try:
            _check_inside(file, folder)
            with file.open("rb") as handle:
                made.update(hashlib.file_digest(handle, "blake2b").digest())
        except (OSError, InputError, ValueError):
            made.update(b"unreadable")
    return made.hexdigest()


def _stem(name: str) -> str:
    name = whole(name)
    ending = max((ending for ending in HTML_ENDINGS if name.lower().endswith(ending)), key=len, default="")
    return name[: len(name) - len(ending)]


def _url_id(url: str) -> str:
    """The name of a page that is known by its address."""
    return hashlib.blake2b(url.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _unique(names: Iterable[str]) -> list[str]:
    """The names with a number after each repeat."""
    count: dict[str, int] = {}
    made = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        made.append(name if count[name] == 1 else f"{name}-{count[name]}")
    return made


# -- archives ------------------------------------------------------------------------------------------------------


def _archived(path: Path) -> list[Source]:
    """The HTML pages of an archive. Raises InputError for a file that is no WARC."""
    found: list[tuple[str, int]] = []
    try:
        with _records(path) as records:
            for record in records:
                url = record.rec_headers.get_header("WARC-Target-URI") or ""
                if record.rec_type == "response" and _is_page(record):
                    found.append((url, records.get_record_offset()))
    except InputError as error:
        if not found:
            raise InputError(f"{path} is not a readable WARC archive: {error}") from None
    names = _unique(_url_id(url) for url, _ in found)
    return [_record_source(path, name, url, offset) for name, (url, offset) in zip(names, found, strict=True)]


def _record_source(path: Path, page_id: str, url: str, offset: int) -> Source:
    def read(limit: int) -> tuple[bytes, str | None]:
        try:
            with _records(path, offset) as records:
                record = next(iter(records))
                return _read_capped(record.content_stream(), limit), _header(record, "Content-Type") or None
        except InputError as error:
            raise InputError(f"the page cannot be read from the archive: {error}.") from None

    return Source(page_id, whole(url), read)


@contextmanager
def _records(path: Path, offset: int = 0) -> Iterator[Any]:
    """warcio's records from a place on; whatever is wrong with the archive is an InputError in a few words."""
    need_pages()
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            yield ArchiveIterator(stream)
    except (ArchiveLoadFailed, EOFError, OSError, ValueError, StopIteration) as error:
        raise InputError(f"{error!s:.200}") from None


def _is_page(record: Any) -> bool:
    """Whether a response is HTML and no redirection or error."""
    status = (record.http_headers.get_statuscode() or "") if record.http_headers is not None else ""
    return status.startswith("2") and _header(record, "Content-Type").split(";")[0].strip().lower() in _HTML


def _header(record: Any, name: str) -> str:
    headers = record.http_headers
    return (headers.get_header(name) or "") if headers is not None else ""


def _read_capped(stream: Any, limit: int) -> bytes:
    """At most `limit` bytes and one more; a decoded stream gives what it likes at a time."""
    data = bytearray()
    while len(data) <= limit and (piece := stream.read(min(65_536, limit + 1 - len(data)))):
        data += piece
    return bytes(data)
