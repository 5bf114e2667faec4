"""A small pages step, and a real local server that speaks the chat completions protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.workspace import open_step

Handle = Callable[[int, dict[str, Any]], tuple[int, dict[str, str], str | bytes] | float]


def pages_step(folder: Path, pages: dict[str, tuple[str, str, str]], source: Path | None = None) -> Path:
    """A finished pages step with these pages: id -> (host, part, prompt)."""
    rows = [(page, f"https://{host}/{page}", host, part, prompt) for page, (host, part, prompt) in pages.items()]
    table = pl.DataFrame(rows, schema=["page_id", "url", "host", "part", "prompt"], orient="row")
    with open_step("pages", {"pages": len(pages)}, {"content": sorted(pages)}, folder) as step:
        if not step.done:
            step.write_table("pages.parquet", table)
            step.finish({"sources": {"path": str(source or "")}})
    return folder


def few_pages(folder: Path, count: int = 6, source: Path | None = None) -> Path:
    """Pages of two known shops and a new one; each tells a brand, a price and a stock code."""
    hosts = ("one.example", "two.example")
    parts = ("train", "train", "train", "test", "ood", "train")
    pages = {}
    for n in range(count):
        part = parts[n % len(parts)]
        host = "new.example" if part == "ood" else hosts[n % 2]
        prompt = f"title: Thing {n}\nby Acme{n}\n{n + 10},50 €\nSKU: A-{n}7\nIn stock"
        pages[f"p{n}"] = (host, part, prompt)
    return pages_step(folder, pages, source)


@dataclass
class Server:
    """What was asked of it, and where it listens."""

    address: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def chat_server(handle: Handle) -> Iterator[Server]:
    """A server whose `handle(number, body)` gives (status, headers, text), or seconds to be silent for."""
    lock = threading.Lock()
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(server.bodies)
                server.bodies.append(body)
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = handle(number, body)
            if isinstance(answer, int | float):
                stop.wait(answer)
                return
            status, headers, text = answer
            data = text if isinstance(text, bytes) else text.encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = Server(f"http://127.0.0.1:{httpd.server_address[1]}/v1")
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        httpd.shutdown()
        httpd.server_close()


def completion(text: str, tokens: tuple[int, int] = (200, 30)) -> str:
    """The body of a chat completion that says `text`."""
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
        }
    )


def page_in(body: dict[str, Any]) -> str:
    """The page's text inside a request: what stands between the two marks."""
    text: str = body["messages"][1]["content"]
    mark = text.split("<PAGE-")[1].split(">")[0]
    return text.split(f"<PAGE-{mark}>\n")[1].split(f"\n</PAGE-{mark}>")[0]


def honest(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    """A model that copies what stands in the page of `few_pages`."""
    lines = page_in(body).splitlines()
    values = {
        "title": lines[0].removeprefix("title: "),
        "brand": lines[1].removeprefix("by "),
        "price": lines[2].removesuffix(" €"),
        "currency": "€",
        "sku": lines[3].removeprefix("SKU: "),
        "gtin": None,
        "availability": "InStock",
        "rating": None,
    }
    return 200, {}, completion(json.dumps(values))
