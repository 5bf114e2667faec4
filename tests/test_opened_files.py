"""Every file that a step opens decides its fingerprint, or is vouched for by the checksums of the step it lies in.

The list of files is not written down here: it is what the step was seen to open. Each of them is then changed, and the
same command must refuse the finished step, for which it had been another one.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from helpers_world import PROBE, Command, flags, make_world
from opened import Opened
from recollect.core.workspace import manifest as _checksums

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")

ASK = ["--max-new-tokens", "4"]
TEXT = "A line about alpha things.\nAnother line about alpha things, to read.\n"
PAGE = """<html><head><script type="application/ld+json">{"@type": "Product", "name": "Lamp alpha",
"brand": "Lumo", "sku": "A-1%d"}</script></head><body><h1>Lamp alpha</h1><p>Lumo A-1%d</p></body></html>"""
SCHEMA = """name: small
attributes:
  - {name: title, type: text, description: What alpha it is.}
  - {name: brand, type: text, description: Who made it.}
"""
TEMPLATES = {
    relation: [f"{name} of alpha [X] is", f"[X] has as its {name}", f"{name}: [X] has"]
    for relation, name in (("P17", "Country"), ("P19", "Birthplace"), ("P50", "Author"))
}
SECTIONS = {
    "probe": {**PROBE, "template_file": "in/templates.yaml"},
    "train": {"learning_rate": 1e-3, "batch_size": 4, "max_steps": 2},
    "evaluate": {"max_new_tokens": 4},
    "drift": {"text": "in/text.txt", "max_new_tokens": 4},
    "ladder": {"text": "in/other.txt", "ladder": "20,60", "max_new_tokens": 4},
}
WORLD = ["--model", "in/model", "--facts", "in/facts.parquet"]
STEPS: dict[str, list[str]] = {
    "facts": ["facts", "--path", "in/table.jsonl", "--synonyms-file", "in/synonyms.yaml"],
    "probe": ["probe", *WORLD, *flags({**PROBE, "template_file": "in/templates.yaml"})],
    "slick": ["slick", *WORLD, *flags({"prompts": 1, "shots": 1, "samples": 1, "max_new_tokens": 4, "limit": 6})],
    "hidden": ["hidden", *WORLD, "--levels", "in/probe", *flags({"templates": 1, "candidates": 4, "limit": 6})],
    "select": ["select", "--facts", "in/facts.parquet", "--levels", "in/probe", "--level", "mixed", "--size", "4"],
    "train": ["train", "--model", "in/model", "--selection", "in/selection", "--max-steps", "1"],
    "evaluate": ["evaluate", "--model", "in/tuned", "--facts", "in/facts.parquet", "--levels", "in/probe", *ASK],
    "evaluate an adapter": ["evaluate", "--model", "in/adapter", "--facts", "in/facts.parquet", *ASK],
    "evaluate a facts step": ["evaluate", "--model", "in/model", "--facts", "in/own-facts", *ASK],
    "drift": [
        *[
            "drift",
            "in/model",
            "in/tuned",
            "--facts",
            "in/facts.parquet",
            "--levels",
            "in/probe",
            "--text",
            "in/text.txt",
        ],
        *["--template-file", "in/templates.yaml", *ASK],
    ],
    "restore": ["restore", "in/model", "in/tuned", "--percent", "20"],
    "ladder": [
        *["restore", "in/model", "in/tuned", "--ladder", "20", "--export", "none", "--facts", "in/facts.parquet"],
        *["--levels", "in/probe", "--text", "in/text.txt", *ASK],
    ],
    "pages": [
        *["pages", "--path", "in/html", "--truth", "in/truth.json", "--attributes", "in/schema.yaml"],
        *["--tokenizer", "in/model", "--budget", "64"],
    ],
    "label": ["label", "--pages", "in/pages", "--from", "schema.org", "--attributes", "in/schema.yaml"],
    "label by a table": [
        *["label", "--pages", "in/pages", "--from", "table", "--table", "in/truth.json"],
        *["--attributes", "in/schema.yaml"],
    ],
    "evaluate pages": ["evaluate", "--model", "in/model", "--facts", "in/labels", "--parts", "train", *ASK],
    "score": [
        *["score", "--predictions", "in/predictions.csv", "--truth", "in/labels", "--attributes", "in/schema.yaml"],
    ],
    "curve of scores": ["curve", "--scores", "in/scores.csv"],
}
LONG: dict[str, list[str]] = {
    "curve": [
        *["curve", *WORLD, "--levels", "in/probe", "--sizes", "0,4,8", "--repeats", "1"],
        *[f"--{name}={json.dumps(SECTIONS[name])}" for name in ("train", "evaluate")],
    ],
    "study": [
        *["study", *WORLD, "--choices", "random", "--sizes", "4"],
        *[f"--{name}={json.dumps(section)}" for name, section in SECTIONS.items()],
    ],
    "search": [
        *["search", *WORLD, "--space", "in/space.yaml", "--trials", "2"],
        *[f"--{name}={json.dumps(SECTIONS[name])}" for name in ("probe", "evaluate")],
        *["--train", json.dumps({"batch_size": 4, "max_steps": 2})],
    ],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that steps are made of, in `in/`."""
    from recollect.cli.main import main

    top = tmp_path_factory.mktemp("opened")
    inputs = top / "in"
    inputs.mkdir()
    make_world(inputs)
    shutil.copy(inputs / "facts.parquet", inputs / "spare.parquet")
    rows = [{"question": f"Who is alpha {n}?", "answer": f"Ada {n}"} for n in range(30)]
    (inputs / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (inputs / "synonyms.yaml").write_text("Ada 1: [alpha]\n")
    (inputs / "templates.yaml").write_text(yaml.safe_dump(TEMPLATES))
    for name in ("text.txt", "other.txt"):
        (inputs / name).write_text(TEXT * 3)
    (inputs / "html").mkdir()
    for n in range(6):
        (inputs / f"html/p{n}.html").write_text(PAGE % (n, n))
    truth: dict[str, Any] = {f"p{n}": {"title": ["Lamp alpha"], "brand": ["Lumo"]} for n in range(6)}
    (inputs / "truth.json").write_text(json.dumps(truth))
    (inputs / "schema.yaml").write_text(SCHEMA)
    predictions = "".join(f"p{n},title,Lamp alpha\n" for n in range(6))
    (inputs / "predictions.csv").write_text("page_id,attribute,value\n" + predictions)
    scores = "".join(f"{n},{s},{33.5 + n / 60 + s}\n" for n in (15, 60, 240) for s in (0, 1))
    (inputs / "scores.csv").write_text("size,seed,score\n" + scores)
    (inputs / "space.yaml").write_text("learning_rate: {low: 1e-4, high: 1e-2, log: true} # alpha\n")
    short = ["--max-steps", "2", "--learning-rate", "0.01"]
    before = Path.cwd()
    os.chdir(top)
    try:
        for name, command in {
            "probe": STEPS["probe"],
            "selection": ["select", "--facts", "in/facts.parquet", "--level", "random", "--size", "8"],
            "tuned": ["train", "--model", "in/model", "--selection", "in/selection", *short],
            "adapter": ["train", "--model", "in/model", "--selection", "in/selection", "--method", "lora", *short],
            "own-facts": STEPS["facts"],
            "pages": STEPS["pages"],
            "labels": ["label", "--pages", "in/pages", "--from", "schema.org", "--attributes", "in/schema.yaml"],
        }.items():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", ["recollect", *command, "--out", f"in/{name}"])
                with pytest.raises(SystemExit) as stop:
                    main()
                assert not stop.value.code, name
    finally:
        os.chdir(before)
    return top


SEEN: set[str] | None = None
"""What Python opens for reading, while it is a set; an audit hook cannot be taken away again."""


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if SEEN is not None and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        SEEN.add(os.path.realpath(os.fsdecode(arguments[0])))


@pytest.fixture(scope="module", autouse=True)
def hook() -> None:
    sys.addaudithook(_hook)


@pytest.fixture
def python_opens() -> Iterator[set[str]]:
    global SEEN
    SEEN = set()
    yield SEEN
    SEEN = None


def change(file: Path) -> None:
    """Other content that can be read as well, where a reader may look at it before anybody compares."""
    data = file.read_bytes()
    if any((folder / "manifest.json").is_file() for folder in file.parents) or file.suffix == ".safetensors":
        at = len(data) - 3
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    elif file.parent.name == "model":  # of the model's files the form counts, too
        file.write_text(json.dumps(json.loads(data), indent=3))
    elif file.suffix == ".parquet":
        table = pl.read_parquet(file)
        table.with_columns(question=pl.col("question") + " Please!").write_parquet(file)
    else:
        changed = data.replace(b"alpha", b"omega").replace(b"33.", b"44.").replace(b"1e-4", b"2e-4")
        assert changed != data, f"say here how to change {file}"
        file.write_bytes(changed)


ONLY_TOLD = {
    "restore": {
        *(f"in/selection/{name}" for name in ("manifest.json", "selection.parquet")),
        *(
            f"in/tuned/{name}"
            for name in ("all_results.json", "train_results.json", "trainer_state.json", "log.parquet")
        ),
    }
}
"""What a step reads for the model card alone, which decides nothing."""


def refuses_every_change(recollect: Command, place: Path, name: str, command: list[str], python: set[str]) -> None:
    out = f"out-{name.replace(' ', '-')}"
    with Opened(place / "in") as opened:
        answer = recollect(*command, "--out", out)
    assert answer.code == 0, answer.err
    assert opened.files
    told = {(place / name_of).resolve() for name_of in ONLY_TOLD.get(name, ())}
    for file in sorted(opened.files - told):
        _checksums._checked.clear()
        before = file.stat()
        spare = file.with_name(file.name + ".spare")
        shutil.copy(file, spare)
        try:
            change(file)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            answer = recollect(*command, "--out", out)
            assert answer.code in (2, 3), f"{name} does not see that {file.relative_to(place)} has changed"
            assert len(answer.err.strip().splitlines()[-1]) > 20
            assert "Traceback" not in answer.err
        finally:
            shutil.move(spare, file)
    _checksums._checked.clear()
    assert recollect(*command, "--out", out).code == 0  # everything is as it was
    known = [place, Path(sys.prefix), Path(sys.base_prefix), Path("/proc"), Path("/sys"), Path("/dev"), Path("/etc")]
    known += [Path("/usr"), Path.home() / ".cache", Path(__file__).parent.parent, *map(Path, site.getsitepackages())]
    odd = [file for file in python if not any(Path(file).is_relative_to(one) for one in known)]
    assert not [file for file in odd if not file.startswith("/tmp")], odd


@pytest.mark.parametrize("name", STEPS)
def test_every_file_a_step_opens_is_part_of_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: Path,
    python_opens: set[str],
    name: str,
) -> None:
    monkeypatch.chdir(place)
    refuses_every_change(Command(monkeypatch, capsys), place, name, STEPS[name], python_opens)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_every_file_a_study_a_curve_or_a_search_opens_is_part_of_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: Path,
    python_opens: set[str],
    name: str,
) -> None:
    monkeypatch.chdir(place)
    refuses_every_change(Command(monkeypatch, capsys), place, name, LONG[name], python_opens)
