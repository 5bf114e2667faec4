"""Pages out of a WARC archive, by warcio: the HTML responses of status 2xx, in the archive's order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recollect.errors import InputError
from recollect.extraction.html.json_text import whole
from recollect.extraction.html.source import Source, unique, url_id

_HTML = ("text/html", "application/xhtml+xml")


def warc_sources(path: Path) -> list[Source]:
    """The HTML pages of an archive. Raises InputError for a file that is no WARC."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    found: list[tuple[str, int]] = []
    try:
        with path.open("rb") as stream:
            records = ArchiveIterator(stream)
            for record in records:
                url = record.rec_headers.get_header("WARC-Target-URI") or ""
                if record.rec_type == "response" and _is_page(record):
                    found.append((url, records.get_record_offset()))
    except (ArchiveLoadFailed, EOFError, OSError, ValueError) as error:
        if not found:
            raise InputError(f"{path} is not a readable WARC archive: {error!s:.200}") from None
    names = unique(url_id(url) for url, _ in found)
    return [_source(path, name, url, offset) for name, (url, offset) in zip(names, found, strict=True)]


def _source(path: Path, page_id: str, url: str, offset: int) -> Source:
    def read(limit: int) -> tuple[bytes, str | None]:
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed

        try:
            with path.open("rb") as stream:
                stream.seek(offset)
                record = next(iter(ArchiveIterator(stream)))
                return _read_capped(record.content_stream(), limit), _content_type(record) or None
        except (ArchiveLoadFailed, EOFError, OSError, ValueError, StopIteration) as error:
            raise InputError(f"the page cannot be read from the archive: {error!s:.200}.") from None

    return Source(page_id, whole(url), read)


def _is_page(record: Any) -> bool:
    """Whether a response is HTML and no redirection or error."""
    status = (record.http_headers.get_statuscode() or "") if record.http_headers is not None else ""
    return status.startswith("2") and _content_type(record).split(";")[0].strip().lower() in _HTML


def _content_type(record: Any) -> str:
    headers = record.http_headers
    return (headers.get_header("Content-Type") or "") if headers is not None else ""


def _read_capped(stream: Any, limit: int) -> bytes:
    """At most `limit` bytes and one more; a decoded stream gives what it likes at a time."""
    pieces, size = [], 0
    while size <= limit:
        piece = stream.read(min(65_536, limit + 1 - size))
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
