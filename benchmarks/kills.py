"""Kill every command at random moments, run it again until it ends, and compare the bytes with an uninterrupted run.

    python benchmarks/kills.py [--kills 100] [--only train,lora] [--seed 0] [--json]

Each command runs on the pocket with small settings, in a folder of its own. A child is forked from a parent that has
imported what all of them import (so that kills fall into the work and not into imports) and gets
SIGKILL, SIGTERM or SIGINT at a moment between 0 and the time that the uninterrupted run took. When it has ended, the
same command is given again, killed again at most twice, and then let through.

Compared is every file of the step by its bytes. Of JSON files the times, dates and seconds are left out, and the
checksums that follow from them; the report's page, which shows them, is left out too.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_TIMES = {
    "started",
    "finished",
    "seconds",
    "created",
    "checksum",
    "files",
    "train_seconds",
    "seconds_max",
    "seconds_median",
    "peak_rss_mb",
    "machine",
    "used",  # seconds of a fit's stages
    "foretold_seconds",
    "reused",  # how many steps a run found there
}
_PAGES = ("report.html", "ledger.journal", "clock.json", "plan.json")  # show or hold times
SMALL = "{max_new_tokens: 4, limit: 12}"
PROBE = ["probe", "--facts", "facts", "--templates", "3", "--samples", "2", "--limit", "40", "--batch-size", "24"]
TRAIN = ["train", "--selection", "select", "--preset", "pocket", "--epochs", "4", "--save-every", "2"]
DRIFT = ["--facts", "facts", "--levels", "probe", "--limit", "10", "--text-tokens", "500", "--max-new-tokens", "4"]
COMMANDS: dict[str, list[str]] = {
    "facts": ["facts", "--path", "questions.csv"],
    "probe": [*PROBE, "--method", "hybrid"],
    "sampled": [*PROBE, "--method", "sampled"],
    "slick": ["slick", "--facts", "facts", "--limit", "8", "--prompts", "2", "--samples", "2", "--max-new-tokens", "4"],
    "select": ["select", "--facts", "facts", "--level", "random", "--size", "24"],
    "train": TRAIN,
    "lora": [*TRAIN, "--method", "lora", "--learning-rate", "0.003", "--lora-targets", "v_proj,q_proj,o_proj"],
    "evaluate": ["evaluate", "--model", "train", "--facts", "facts", "--levels", "probe", "--batch-size", "8"],
    "drift": ["drift", "pocket", "train", *DRIFT],
    "restore": ["restore", "pocket", "train", "--percent", "20"],
    "ladder": ["restore", "pocket", "train", "--ladder", "5,20", "--export", "none", *DRIFT],
    "pages": ["pages", "--path", "html"],
    "label": ["label", "--pages", "pages", "--from", "schema.org"],
    "curve": ["curve", "--facts", "facts", "--sizes", "0,4,8", "--repeats", "2", "--evaluate", SMALL],
    "study": [
        *("study", "--facts", "facts", "--choices", "random", "--sizes", "4,8", "--repeats", "1", "--evaluate", SMALL),
        *("--probe", "{method: closed-form, templates: 2, limit: 60}", "--repair", "none"),
        *("--drift", "{limit: 6, text_tokens: 300, max_new_tokens: 4}"),
    ],
    "grid": [  # two bases, two methods; the second takes the first's probe
        *("study", "--facts", "facts", "--models", "pocket,train", "--methods", "full,lora", "--choices", "random"),
        *("--sizes", "4", "--repeats", "1", "--evaluate", SMALL, "--few-shot", "2", "--repair", "none"),
        *("--probe", "{method: closed-form, templates: 2, limit: 60}"),
        *("--drift", "{limit: 6, text_tokens: 300, max_new_tokens: 4}"),
    ],
    "search": [
        *(
            "search",
            "--facts",
            "facts",
            "--levels",
            "none",
            "--trials",
            "3",
            "--validation",
            "12",
            "--workers",
            "1",
            "--evaluate",
            "{max_new_tokens: 4}",
        ),
        *("--space", "{learning_rate: {low: 1e-4, high: 1e-3, log: true}}", "--train", "{max_steps: 6}"),
    ],
    "fit": [
        *("fit", "--data", "questions.csv", "--budget", "2 trials", "--seeds", "2", "--few-shot", "2", "--yes"),
        *("--most-kept", "12", "--limit", "20", "--probe.templates", "2", "--evaluate.max-new-tokens", "4"),
    ],
}
_NEEDS = ("facts", "probe", "select", "train", "pages")  # what others read, made once and shared


def main() -> None:
    """Run it all and print one line a command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--only", default=",".join(COMMANDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    names = given.only.split(",")
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    import_all()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        world = Path(place) / "world"
        make_inputs(world)
        for name in _NEEDS:
            run(world, COMMANDS[name], name)
        wanted: dict[str, int] = {
            name: given.kills // len(names) + (at < given.kills % len(names)) for at, name in enumerate(names)
        }
        rows = [_judge(name, wanted[name], world, Path(place), draw) for name in names]
    kills, runs, bad = (sum(row[key] for row in rows) for key in ("kills", "runs", "differ"))
    print(f"{kills} kills in {runs} runs of {len(rows)} commands: {bad} ended in other bytes")
    if given.json:
        print(json.dumps({"kills": kills, "runs": runs, "differ": bad, "commands": rows}))
    sys.exit(bad > 0)


def _judge(name: str, kills: int, world: Path, place: Path, draw: random.Random) -> dict[str, Any]:
    """Kill one command so many times; how many kills fell, and how many runs ended in other bytes."""
    whole = _copy(world, place / f"{name}-whole")
    started = time.monotonic()
    run(whole, COMMANDS[name], "made")
    took = time.monotonic() - started
    expected = bytes_of(whole)
    done = runs = differ = 0
    while done < kills:
        folder = _copy(world, place / f"{name}-{runs}")
        said = ""
        for _ in range(3):
            if done >= kills or not _killed(folder, COMMANDS[name], draw.uniform(0, took), draw.choice(SIGNALS)):
                break
            done += 1
        try:
            run(folder, COMMANDS[name], "made")
        except RuntimeError as error:
            said = str(error)
        found = bytes_of(folder)
        other = [file for file in sorted({*expected, *found}) if expected.get(file) != found.get(file)]
        if other or said:
            differ += 1
            print(f"  {name}, run {runs}: {said} {', '.join(other[:5])}", flush=True)
        runs += 1
        shutil.rmtree(folder)
    print(f"{name:9s} {took:5.1f} s, {done:3d} kills in {runs:3d} runs, {differ} ended in other bytes", flush=True)
    return {"name": name, "seconds": round(took, 1), "kills": done, "runs": runs, "differ": differ}


def import_all() -> None:
    """What every command imports, so that a fork starts at once; nothing is computed: threads do not survive it."""
    import accelerate  # noqa: F401
    import datasets  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import optuna  # noqa: F401
    import peft  # noqa: F401
    import torch
    import transformers
    import trl

    import recollect
    from recollect.steps import STEPS

    torch.set_num_threads(1)
    for module in {entry.module for entry in STEPS}:
        importlib.import_module(f"recollect.cli.{module}")
    for module, name in ((recollect, "run_search"), (recollect, "run_study"), (trl, "SFTTrainer")):
        getattr(module, name, None)
    getattr(transformers, "AutoModelForCausalLM", None)


def _copy(world: Path, folder: Path) -> Path:
    shutil.copytree(world, folder)
    return folder


def child(folder: Path, arguments: list[str], out: str, before: Callable[[], None] = lambda: None) -> int:
    """Fork a child that calls `before` and runs the command in `folder`; its number.

    A signal that comes at once waits until the child runs the command: unwinding into the parent's frames, it would
    clear the folder of all runs away.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS[1:])
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS[1:])
        return pid
    code = 1
    try:
        os.chdir(folder)
        log = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from recollect.cli import main as cli

        before()
        sys.argv = ["recollect", *arguments, "--out", out]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS[1:])
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        os._exit(code)


def run(folder: Path, arguments: list[str], out: str, before: Callable[[], None] = lambda: None) -> None:
    """Run to the end; raises RuntimeError with the last line said when it fails."""
    status = os.waitpid(child(folder, arguments, out, before), 0)[1]
    if os.waitstatus_to_exitcode(status):
        said = (folder / "said.txt").read_text(errors="replace").strip().splitlines()
        raise RuntimeError(
            f"{arguments[0]} ended with {os.waitstatus_to_exitcode(status)}: {' / '.join(said[-3:])[:400]}"
        )


def _killed(folder: Path, arguments: list[str], after: float, how: signal.Signals) -> bool:
    """Run and send the signal after so many seconds; whether it fell before the command had ended."""
    pid = child(folder, arguments, "made")
    until = time.monotonic() + after
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    os.kill(pid, how)
    os.waitpid(pid, 0)
    return True


def bytes_of(folder: Path) -> dict[str, str]:
    """A hash of every file of the step by its name, and names of what was left beside it."""
    found = {}
    for file in sorted((folder / "made").rglob("*")):
        if file.is_file() and file.name not in _PAGES:
            name = file.relative_to(folder / "made").as_posix()
            data = file.read_bytes().replace(str(folder).encode(), b"HERE")
            if file.suffix == ".json":
                data = json.dumps(_timeless(json.loads(data)), sort_keys=True).encode()
            found[name] = hashlib.blake2b(data, digest_size=16).hexdigest()
    return found | {path.name: "left" for path in folder.glob("made.partial*")}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in _TIMES}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def make_inputs(world: Path) -> None:
    """Questions about the pocket's world as a table of one's own, and a few product pages."""
    import subprocess

    world.mkdir()
    code = (
        "import polars as pl; from recollect.facts import load_facts;"
        "t = load_facts('pocket').table();"
        "t.filter(pl.col('split') != 'dev').group_by('relation', 'split', maintain_order=True).head(12)"
        ".select('relation', 'subject', 'question', pl.col('object').alias('answer'), 'split')"
        ".write_csv('questions.csv')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=world, check=True)
    (world / "html").mkdir()
    for at in range(12):
        offer = {"@type": "Offer", "price": f"{at + 10}.50", "priceCurrency": "EUR"}
        product = {"@type": "Product", "name": f"Lamp {at}", "sku": f"L-{at}7", "offers": offer}
        script = f'<script type="application/ld+json">{json.dumps(product)}</script>'
        page = f"<html><head>{script}</head><body><h1>Lamp {at}</h1><p>{at + 10},50 EUR</p><p>L-{at}7</p></body></html>"
        (world / "html" / f"shop{at % 3}.example-{at}.html").write_text(page)


if __name__ == "__main__":
    main()
