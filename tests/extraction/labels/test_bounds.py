"""A server that will not end, sends too much, sends elsewhere or sends what must not be kept: bounds of a request."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers_label import chat_server, completion, few_pages, honest, page_in
from recollect.errors import InputError
from recollect.extraction.labels import LabelSettings, run_label

CANARY = "sk-canary-7f3e9b21d04c"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def settings(tmp_path: Path, address: str, **more: Any) -> LabelSettings:
    values = {"source": "llm", "llm": "m", "price_in": 1.0, "price_out": 2.0, "timeout": 1.0, "retries": 0}
    places = {"pages": tmp_path / "pages", "cache": tmp_path / "cache", "endpoint": address}
    return LabelSettings.make(**{**values, **places, **more})


@contextlib.contextmanager
def raw_server(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server that gives every connection to `answer` once the request has begun; yields its address."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            answer(connection, stop)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        stop.set()
        listener.close()


def drip(start: bytes, piece: bytes, pause: float) -> Callable[[socket.socket, threading.Event], None]:
    def answer(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(start)
        while not stop.wait(pause):
            connection.sendall(piece)

    return answer


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),  # a blank now and then
        (HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
        (HEAD, b"X-More: yes\r\n"),  # head lines without end
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b""),  # silence
    ],
)
def test_a_request_has_one_deadline_however_a_server_drips(tmp_path: Path, start: bytes, piece: bytes) -> None:
    few_pages(tmp_path / "pages", 1)
    began = time.monotonic()
    with (
        raw_server(drip(start, piece, 0.05)) as address,
        pytest.raises(InputError, match=r"1 of 1 pages got no answer \((no answer within 1 s|no connection)"),
    ):
        run_label(settings(tmp_path, address), out=tmp_path / "label")
    assert time.monotonic() - began < 6


def test_a_reply_without_end_is_cut_at_the_cap(tmp_path: Path) -> None:
    few_pages(tmp_path / "pages", 1)
    sent = []

    def flood(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while not stop.is_set():
            connection.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            sent.append(65_536)

    with raw_server(flood) as address, pytest.raises(InputError, match="too large, or packed"):
        run_label(settings(tmp_path, address, timeout=30.0), out=tmp_path / "label")
    assert sum(sent) < 40_000_000  # the cap, and what the buffers between the two hold


def test_a_packed_reply_is_not_unpacked(tmp_path: Path) -> None:
    few_pages(tmp_path / "pages", 1)
    packed = gzip.compress(completion(" " * 50_000_000).encode())
    with (
        chat_server(lambda *_: (200, {"Content-Encoding": "gzip"}, packed)) as server,
        pytest.raises(InputError, match="too large, or packed"),
    ):
        run_label(settings(tmp_path, server.address, timeout=30.0), out=tmp_path / "label")
    assert server.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_pages_are_sent_to_no_other_address(tmp_path: Path, status: int) -> None:
    few_pages(tmp_path / "pages", 6)
    with chat_server(honest) as other:
        target = other.address + "/chat/completions"
        with (
            chat_server(lambda *_: (status, {"Location": target}, "")) as server,
            pytest.raises(InputError, match=rf"another address \(status {status}\).*--endpoint") as raised,
        ):
            run_label(settings(tmp_path, server.address, concurrency=1), out=tmp_path / "label")
    assert other.bodies == [] and len(server.bodies) == 1
    assert target not in str(raised.value)


@pytest.mark.parametrize("text", ['{"title": "\\ud800 x"}', "\ud800", '{"\\udfff": "x"}'])
def test_a_broken_answer_spoils_its_page_alone_and_can_be_asked_for_again(tmp_path: Path, text: str) -> None:
    """Half of a surrogate pair, in the answer's JSON or in the answer itself."""
    few_pages(tmp_path / "pages", 4)

    def handle(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        return (200, {}, completion(text)) if "Thing 2" in page_in(body) else honest(number, body)

    with chat_server(handle) as server, contextlib.suppress(InputError):
        result = run_label(settings(tmp_path, server.address), out=tmp_path / "label")
        assert result.found.labelled == 3
    with chat_server(honest) as server:
        again = settings(tmp_path, server.address, ask_again=True)
        assert run_label(again, out=tmp_path / "again").found.labelled == 4
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "text", [f'{{"title": "{CANARY}"}}', CANARY, json.dumps({"title": CANARY}).replace("s", "\\u0073")]
)
def test_a_key_that_comes_back_in_an_answer_is_not_kept(tmp_path: Path, text: str) -> None:
    few_pages(tmp_path / "pages", 3)

    def handle(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        return (200, {}, completion(text)) if "Thing 1" in page_in(body) else honest(number, body)

    with chat_server(handle) as server, pytest.raises(InputError, match="holds the key") as raised:
        run_label(settings(tmp_path, server.address), out=tmp_path / "label")
    assert CANARY not in str(raised.value)
    kept = [path.read_text() for path in (tmp_path / "cache").rglob("*.json")]
    assert len(kept) == 2
    assert not any(CANARY in one or "\\u0073" in one for one in kept)


def test_ctrl_c_ends_at_once_while_the_server_hangs(tmp_path: Path) -> None:
    few_pages(tmp_path / "pages", 6)
    asked = threading.Event()

    def hang(connection: socket.socket, stop: threading.Event) -> None:
        asked.set()
        stop.wait(60)

    with raw_server(hang) as address:
        code = "import sys; from recollect.cli.main import main; sys.exit(main())"
        given = ["label", "--pages", "pages", "--from", "llm", "--endpoint", address, "--llm", "m", "--price-in", "0"]
        child = subprocess.Popen(
            [sys.executable, "-c", code, *given, "--price-out", "0"],
            cwd=tmp_path,
            env=dict(os.environ),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert asked.wait(60)
        child.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, said = child.communicate(timeout=20)
    assert child.returncode == 130
    assert time.monotonic() - began < 5
    assert "stopped" in said and "Traceback" not in said


def test_labelling_works_inside_a_running_event_loop(tmp_path: Path) -> None:
    """As in a notebook."""
    import asyncio

    few_pages(tmp_path / "pages", 2)

    async def cell(address: str) -> int:
        return int(run_label(settings(tmp_path, address, timeout=20.0), out=tmp_path / "label").found.labelled)

    with chat_server(honest) as server:
        assert asyncio.run(cell(server.address)) == 2
