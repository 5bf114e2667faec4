"""A real local server that speaks the completions protocol, and its ways of speaking it badly."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from recollect.generate import Ask, Sampling, TransformersEngine

Body = dict[str, Any]


@dataclass
class Ways:
    """How a server differs from one that does everything."""

    ids: bool = True
    """Takes token ids; else 422."""
    tells_ids: bool = True
    counts: bool = True
    """Tells how many tokens an answer has."""
    many: bool = True
    """Heeds `n`."""
    logprobs: bool = True
    echo: str = "whole"
    """whole; "generated": of the generated token where the prompt's were asked for, as llama.cpp does; "zeros"."""
    hides_begin: bool = False
    """No entry for the begin token of an echoed prompt, as llama-cpp-python."""
    refuses: tuple[str, ...] = ()
    """Parameters that give 422."""
    own_top_k: int = 0
    """Its default, where none is sent."""
    bent: float = 1.0
    """Its temperature is so many times what was asked for."""
    begins_twice: bool = False
    fixed_seed: bool = False
    greedy_only: bool = False
    fail: Callable[[int, Body], int | float] = lambda number, body: 0
    """By the request and its number: 0, a status to fail with, or seconds to be silent for."""
    models: tuple[str, ...] = ("small",)


@dataclass
class Endpoint:
    address: str
    bodies: list[Body] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


class Model:
    """Completes with the engine of this process, whose draws are addressed by the number of the request."""

    def __init__(self, engine: TransformersEngine, ways: Ways) -> None:
        self.engine, self.ways, self.tokenizer = engine, ways, engine.tokenizer
        self.lock = threading.Lock()
        self.served = 0
        self.next = lru_cache(4096)(self._next)

    def ids_of(self, prompt: Any) -> list[int]:
        if isinstance(prompt, list):
            return list(prompt)
        ids = list(self.tokenizer.encode(prompt))
        return [ids[0], *ids] if self.ways.begins_twice else ids

    def complete(self, body: Body) -> Body:
        ids, ways = self.ids_of(body["prompt"]), self.ways
        count = int(body.get("n", 1)) if ways.many else 1
        heat = float(body["temperature"]) * ways.bent
        top_k = int(body.get("top_k", ways.own_top_k))
        with self.lock:
            self.served += 1
            seed = body.get("seed", 0) if ways.fixed_seed else self.served
            how = Sampling(heat, body["max_tokens"], max(0, top_k), seed)
            if heat == 0 or ways.greedy_only:
                draws = self.engine.greedy([ids], body["max_tokens"]) * count
            elif len(self.tokenizer) < 20:
                draws = self.fast(ids, count, how)
            else:
                draws = list(self.engine.sample([Ask(ids, "", 0, count)], how)[0].draws)
            choices = [self.choice(index, ids, said, body) for index, said in enumerate(draws)]
        usage = {"prompt_tokens": len(ids)}
        if ways.counts:
            usage["completion_tokens"] = sum(map(len, draws))
        return {"object": "text_completion", "model": body["model"], "choices": choices, "usage": usage}

    def fast(self, ids: list[int], count: int, how: Sampling) -> list[list[int]]:
        """Draws from a model of a few words, each of whose distributions is kept."""
        generator, draws = random.Random(how.seed), []
        for _ in range(count):
            said: list[int] = []
            while len(said) < how.max_new_tokens:
                [token] = generator.choices(
                    range(len(self.tokenizer)), self.weights((*ids, *said), replace(how, seed=0))
                )
                if token == self.tokenizer.eos_token_id:
                    break
                said.append(token)
            draws.append(said)
        return draws

    @lru_cache(4096)  # noqa: B019 — lives as long as one test's server
    def weights(self, ids: tuple[int, ...], how: Sampling) -> list[float]:
        values = self.next(ids)
        least = sorted(values)[-min(how.top_k, len(values))] if how.top_k else -math.inf
        return [math.exp(value / how.temperature) if value >= least else 0.0 for value in values]

    def choice(self, index: int, ids: list[int], said: list[int], body: Body) -> Body:
        ended = len(said) < body["max_tokens"]
        one: Body = {
            "index": index,
            "text": self.engine.decode(said),
            "finish_reason": "stop" if ended else "length",
            "logprobs": None,
        }
        if self.ways.tells_ids and body.get("return_token_ids"):
            one["token_ids"] = [*said, 1] if ended else said
        if self.ways.logprobs and body.get("logprobs"):
            if body.get("echo") and self.ways.echo != "generated":
                first = 1 + self.ways.hides_begin
                rows = [None, *(self.row(ids, [*ids, *said], at) for at in range(first, len(ids) + len(said)))]
            else:
                rows = [self.row(ids, [*ids, *said], at) for at in range(len(ids), len(ids) + len(said))]
            values = [row and (0.0 if self.ways.echo == "zeros" else row[0]) for row in rows]
            top = int(body["logprobs"])
            tops = [row and dict(sorted(row[1].items(), key=lambda pair: -pair[1])[:top]) for row in rows]
            one["logprobs"] = {"tokens": [""] * len(rows), "token_logprobs": values, "top_logprobs": tops}
        return one

    def row(self, _: list[int], ids: list[int], at: int) -> tuple[float, dict[str, float]]:
        values = self.next(tuple(ids[:at]))
        return values[ids[at]], {str(self.tokenizer.convert_ids_to_tokens(t)): v for t, v in enumerate(values)}

    def _next(self, ids: tuple[int, ...]) -> list[float]:
        every = [[token] for token in range(len(self.tokenizer))]
        [scores] = self.engine.score([ids], [every])
        return [value for [value] in scores]


@contextmanager
def completions_server(engine: TransformersEngine, ways: Ways | None = None) -> Iterator[Endpoint]:
    ways = ways or Ways()
    model, lock, stop = Model(engine, ways), threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.say(200, {"object": "list", "data": [{"id": name} for name in ways.models]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(endpoint.bodies)
                endpoint.bodies.append(body)
                endpoint.headers.append({name.lower(): value for name, value in self.headers.items()})
            failure = ways.fail(number, body)
            if isinstance(failure, float):
                stop.wait(failure)
                self.close_connection = True
                return
            refused = [name for name in ways.refuses if name in body]
            if isinstance(body["prompt"], list) and not ways.ids:
                refused.append("prompt")
            if failure or refused or body["model"] not in ways.models:
                self.say(failure or (422 if refused else 404), {"error": {"message": f"no {refused}"}})
                return
            self.say(200, model.complete(body))

        def say(self, status: int, content: Body) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    endpoint = Endpoint(f"http://127.0.0.1:{httpd.server_address[1]}/v1")
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield endpoint
    finally:
        stop.set()
        httpd.shutdown()
        httpd.server_close()
