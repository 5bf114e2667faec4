"""Kill `recollect fit` in every stage, and fill its disk: is the best so far kept, and what comes out in the end?

    python benchmarks/fit_kills.py [--stages split,base,...] [--seed 0] [--json]

One small fit on the pocket, its budget in trials, is run to its end. Then it is run once for each stage and each way of
ending it: SIGKILL, SIGINT (Ctrl-C), and a disk that is full from that moment on (every fsync and every write of weights
fails as on a full disk). The moment is drawn within the stage by what that took in the whole run. After each ending the
model folder must hold a whole model as soon as anything was worth keeping (after Ctrl-C always), and the same command
must go on to the very bytes of the whole run: every file, of JSON files without times. The children are those of
`kills.py`.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kills import COMMANDS, bytes_of, child, import_all, make_inputs, run

STAGES = {
    "split": "cutting the data",
    "probe": "probing what the base knows",
    "base": "asking the base",
    "few-shot": "asking it with examples",
    "plain": "plain fine-tuning",
    "search": "searching",
    "seeds": "the same with seed",
    "means": "averaging",
    "repair": "repair",
    "random": "a random draw of equal size",
    "test": "the test",
    "report": "writing the report",
}
"""How the work of each begins."""
BEFORE_ANYTHING = ("split", "probe", "base", "few-shot", "plain")
"""Stages in which nothing may be kept yet."""
WAYS = ("SIGKILL", "SIGINT", "full disk")
FIT = COMMANDS["fit"]


def main() -> None:
    """Run it all and print one line a stage and way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    import_all()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        world = Path(place) / "world"
        make_inputs(world)
        whole = Path(shutil.copytree(world, Path(place) / "whole"))
        took = whole_run(whole)
        print(f"the whole run: {took['all']:.1f} s", flush=True)
        expected = bytes_of(whole)
        rows = [
            judge(stage, way, draw.random() * took[stage], world, Path(place), expected)
            for stage in given.stages.split(",")
            for way in WAYS
        ]
    bad = [row for row in rows if row["faults"]]
    fell = sum(row["fell"] for row in rows)
    print(f"{fell} endings in {len({row['stage'] for row in rows})} stages: {len(bad)} with faults")
    if given.json:
        print(json.dumps({"endings": fell, "faulty": len(bad), "rows": rows}))
    sys.exit(bool(bad))


def whole_run(folder: Path) -> dict[str, float]:
    """Run it uninterrupted; the seconds of each stage."""
    began = time.monotonic()
    run(folder, FIT, "made", lambda: _listened(_writes_to(folder / "stages.txt")))
    took = dict.fromkeys(STAGES, 0.0)
    for line in (folder / "stages.txt").read_text(encoding="utf-8").splitlines():
        seconds, _, what = line.partition(" ")
        for name, prefix in STAGES.items():
            if what.startswith(prefix) and not took[name]:
                took[name] = float(seconds)
    missing = [name for name, seconds in took.items() if not seconds]
    if missing:
        raise SystemExit(f"the whole run has no stage {', '.join(missing)}")
    return took | {"all": time.monotonic() - began}


def judge(stage: str, way: str, after: float, world: Path, place: Path, expected: dict[str, str]) -> dict[str, Any]:
    """End it there and so, look at what is kept, and let the same command go on to its end."""
    folder = Path(shutil.copytree(world, place / f"{stage}-{WAYS.index(way)}"))
    status = os.waitpid(child(folder, FIT, "made", lambda: _listened(_ends(stage, way, after))), 0)[1]
    code = os.waitstatus_to_exitcode(status)
    faults = [] if code in (-signal.SIGKILL, 130, 5) else [f"ended with {code}"] if code else []
    best = _kept(folder, stage, way, faults) if code else ""
    try:
        run(folder, FIT, "made")
    except RuntimeError as error:
        faults.append(str(error))
    found = bytes_of(folder)
    other = [file for file in sorted({*expected, *found}) if expected.get(file) != found.get(file)]
    faults += [f"other bytes in the end: {', '.join(other[:6])}"] if other else []
    told = {"stage": stage, "way": way, "after": round(after, 2), "fell": code != 0, "kept": best, "faults": faults}
    words = "; ".join(faults) or "the same in the end"
    print(f"{stage:9s} {way:9s} after {after:4.1f} s: exit {code}, kept {best or 'nothing'}; {words}", flush=True)
    if not faults:
        shutil.rmtree(folder)
    return told


def _kept(folder: Path, stage: str, way: str, faults: list[str]) -> str:
    """What is kept, which must be whole; and that it was said in words."""
    made = next((one for one in (folder / "made", folder / "made.partial") if (one / "model").is_dir()), None)
    said = (folder / "said.txt").read_text(errors="replace")
    if "Traceback" in said:
        faults.append(f"a traceback: {said.strip().splitlines()[-1][:200]}")
    for sign, words in (("full disk", "the disk is full"), ("SIGINT", "same command again")):
        if way == sign and words not in said:
            faults.append(f"it did not say {words!r}, but: {said.strip().splitlines()[-1:]}")
    if made is None:
        if stage not in BEFORE_ANYTHING or (way == "SIGINT" and stage not in ("split",)):
            faults.append("nothing was kept")
        return ""
    try:
        _check_whole(made / "model" / "model.safetensors")
        json.loads((made / "model" / "config.json").read_text())
        return str(json.loads((made / "steps" / "best.json").read_text())["what"])
    except Exception as error:
        faults.append(f"what was kept is not whole: {type(error).__name__}: {error}")
        return ""


def _check_whole(file: Path) -> None:
    """Raises ValueError for weights that end before their header says."""
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8 : 8 + length])
    end = max(one["data_offsets"][1] for name, one in tensors.items() if name != "__metadata__")
    if len(data) != 8 + length + end:
        raise ValueError(f"{len(data)} bytes, but the header tells of {8 + length + end}")


Hears = Callable[[str], Callable[[], None]]
"""Told of every stage that begins; gives who is told of its end."""


def _listened(hears: Hears) -> None:
    """In the child: whoever shows or times a stage of the fit tells of it."""
    import recollect.cli.fit as command
    from recollect.experiments.fit import prepare
    from recollect.experiments.fit.clock import FitClock

    def heard(plain: Callable[..., Any], at: int) -> Callable[..., Any]:
        @contextmanager
        def stage(*given: Any, **named: Any) -> Iterator[Any]:
            ends = hears(given[at])
            with plain(*given, **named) as found:
                yield found
            ends()

        return stage

    def cut(*given: Any, **named: Any) -> Any:
        ends = hears(STAGES["split"])
        found = split(*given, **named)
        ends()
        return found

    split = prepare.split_for_fit
    prepare.split_for_fit = cut
    command.stage = heard(command.stage, 0)  # type: ignore[assignment]
    FitClock.stage = heard(FitClock.stage, 1)  # type: ignore[method-assign]


def _writes_to(file: Path) -> Hears:
    def hears(what: str) -> Callable[[], None]:
        began = time.monotonic()

        def ends() -> None:
            with file.open("a", encoding="utf-8") as log:
                log.write(f"{max(time.monotonic() - began, 1e-6):.6f} {what}\n")

        return ends

    return hears


def _ends(stage: str, way: str, after: float) -> Hears:
    """Ends the run so many seconds after that stage began."""
    begun: list[str] = []

    def hears(what: str) -> Callable[[], None]:
        if what.startswith(STAGES[stage]) and not begun:
            begun.append(what)
            timer = threading.Timer(after, _fill_up if way == "full disk" else _signalled(way))
            timer.daemon = True
            timer.start()
        return lambda: None

    return hears


def _signalled(way: str) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), getattr(signal, way))


def _fill_up() -> None:
    """From now on nothing can be stored any more."""
    from transformers import PreTrainedModel

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    os.fsync = full
    os.link = full
    shutil.copyfile = full  # type: ignore[assignment]
    PreTrainedModel.save_pretrained = full  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
