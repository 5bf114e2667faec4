"""Where pages come from: HTML files, folders of them, WARC archives, lists of addresses with files. Nothing is fetched.

Notable choices
- A page is named by its file, below the folder and without its ending; by a hash of its address in an archive or list.
- A link or a `..` that leads out of the folder is refused, page by page: the folder given is all that is read.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path

from recollect.core.tables import ENDINGS, digest, read_bytes, read_rows
from recollect.errors import InputError
from recollect.extraction.html.json_text import whole
from recollect.extraction.html.source import Source, unique, url_id
from recollect.extraction.html.warc import warc_sources

HTML_ENDINGS = (".html", ".htm", ".html.gz", ".htm.gz")
WARC_ENDINGS = (".warc", ".warc.gz")


def find_pages(path: Path) -> tuple[list[Source], str]:
    """The pages at a path in a fixed order, and a hash of their content. Raises InputError when there are none."""
    name = path.name.lower()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _ends(file.name, HTML_ENDINGS))
        sources = [_file_source(file, path, page_id) for file, page_id in zip(files, _names(files, path), strict=True)]
        mark = _hash_files(files, path)
    elif not path.is_file():
        raise InputError(f"no such file or folder: {path}. Give pages that are on this machine; nothing is fetched.")
    elif _ends(name, WARC_ENDINGS):
        sources, mark = warc_sources(path), _hash_files([path], path.parent)
    elif _ends(name, HTML_ENDINGS):
        sources, mark = [_file_source(path, path.parent, _stem(whole(path.name)))], _hash_files([path], path.parent)
    elif path.suffix.lower() in ENDINGS:
        sources, mark = _listed(path)
    else:
        raise InputError(
            f"{path} is refused: give a folder, a file ending in {', '.join((*HTML_ENDINGS, *WARC_ENDINGS))}, or a "
            f"list with the columns url and path ({', '.join(ENDINGS)})."
        )
    if not sources:
        raise InputError(f"{path} holds no page: no file ending in {', '.join(HTML_ENDINGS)}.")
    return sources, mark


def read_html(file: Path, limit: int) -> bytes:
    """At most `limit` bytes of a page and one more, unpacked when its name ends in .gz. Raises InputError."""
    try:
        if file.name.lower().endswith(".gz"):
            with gzip.open(file) as packed:
                return packed.read(limit + 1)
        with file.open("rb") as plain:
            return plain.read(limit + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"the page cannot be unpacked: {error}.") from None
    except OSError as error:
        raise InputError(f"the page cannot be read: {error.strerror}.") from None


def _file_source(file: Path, folder: Path, page_id: str, url: str = "") -> Source:
    def read(limit: int) -> tuple[bytes, str | None]:
        _check_inside(file, folder)
        return read_html(file, limit), None

    return Source(page_id, whole(url), read)


def _listed(path: Path) -> tuple[list[Source], str]:
    data = read_bytes(path)
    rows = read_rows(data, path)
    folder = path.parent
    urls, files = [], []
    for row in rows:
        url, file = row.values.get("url"), row.values.get("path")
        if not isinstance(url, str) or not isinstance(file, str) or not file:
            raise InputError(f"{path}: {row.where} must have the columns url and path (a file already downloaded).")
        urls.append(url)
        files.append(folder / file)
    given = [row.values.get("page_id") for row in rows]
    names = unique(whole(str(name)) if name else url_id(url) for name, url in zip(given, urls, strict=True))
    sources = [_file_source(file, folder, name, url) for file, name, url in zip(files, names, urls, strict=True)]
    return sources, digest(iter([("list", data), ("files", _hash_files(files, folder).encode())]))


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


def _names(files: list[Path], folder: Path) -> list[str]:
    return unique(_stem(whole(file.relative_to(folder).as_posix())) for file in files)


def _stem(name: str) -> str:
    for ending in sorted(HTML_ENDINGS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _ends(name: str, endings: tuple[str, ...]) -> bool:
    return name.lower().endswith(endings)
