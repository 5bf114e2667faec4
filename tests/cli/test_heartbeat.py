"""No command is silent: a line comes whenever nothing was printed for 15 seconds, whatever is at work."""

from __future__ import annotations

import io
import itertools
import re
import time
from contextlib import nullcontext

import pytest
from rich.console import Console

import recollect.cli.options as _options
import recollect.drift.run as drift_module
from helpers_world import EVALUATE, PROBE, TRAIN, Command, World, flags
from recollect.cli.heartbeat import EVERY, Heartbeat
from recollect.core.progress import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(clock: Clock, seconds: int, heartbeat: Heartbeat) -> None:
    """Let time pass as the thread would see it, looking once a second."""
    for _ in range(seconds):
        clock.now += 1
        heartbeat.beat()


def test_lines_are_never_more_than_15_seconds_apart_however_long_one_step_takes() -> None:
    clock, lines = Clock(), list[tuple[float, str]]()
    heartbeat = Heartbeat(lambda text: lines.append((clock.now, text)), clock=clock)
    pace = Pace("training", "updates", clock=clock)
    with heartbeat.working(pace):
        watch(clock, 40, heartbeat)  # the first update takes its time
        for done in range(1, 61):  # and a hundred quick ones follow
            pace(done, 60)
            watch(clock, 1, heartbeat)
    times = [0.0, *(at for at, _ in lines)]
    assert max(after - before for before, after in itertools.pairwise(times)) <= EVERY
    assert len(lines) == 100 // EVERY
    assert lines[0][1] == "training: 0:15 so far" and "updates" in lines[-1][1] and "left" in lines[-1][1]


def test_what_others_print_counts_as_said() -> None:
    clock, lines = Clock(), list[str]()
    heartbeat = Heartbeat(lines.append, clock=clock)
    with heartbeat.held():
        for _ in range(10):
            watch(clock, 14, heartbeat)
            heartbeat.heard()
    assert not lines


def test_the_innermost_work_is_told_of_and_none_is_said_too() -> None:
    clock, lines = Clock(), list[str]()
    heartbeat = Heartbeat(lines.append, clock=clock)
    with heartbeat.held():
        watch(clock, 15, heartbeat)
        with heartbeat.working(Pace("outer", clock=clock)), heartbeat.working(Pace("inner", clock=clock)):
            watch(clock, 15, heartbeat)
    assert [line.partition(":")[0] for line in lines] == ["at work", "inner"]


def test_where_a_bar_is_shown_no_line_comes() -> None:
    clock, lines = Clock(), list[str]()
    heartbeat = Heartbeat(lines.append, shown=lambda: True, clock=clock)
    with heartbeat.working(Pace("probing", clock=clock)):
        watch(clock, 60, heartbeat)
    assert not lines


@pytest.mark.parametrize("executor", ["here", "processes"])
def test_a_study_speaks_in_every_part_of_its_work(
    monkeypatch: pytest.MonkeyPatch, recollect: Command, world: World, executor: str
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(_options, "console", Console(file=screen, force_terminal=False, width=200))
    monkeypatch.setattr(_options.heartbeat, "every", 0.05)
    slow = drift_module.change

    def slowly(*given: object, **more: object) -> object:  # one part that tells nothing for a while
        time.sleep(0.4)
        return slow(*given, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(drift_module, "change", slowly) if executor == "here" else nullcontext()
        sections = {"probe": PROBE, "train": TRAIN | {"epochs": 30}, "evaluate": EVALUATE}
        asked = ["--model", str(world.model), "--facts", str(world.facts), "--choices", "random", "--sizes", "8,16"]
        asked += [f"--{name}={{{', '.join(f'{a}: {b}' for a, b in one.items())}}}" for name, one in sections.items()]
        more = [*flags({"executor": executor, "repeats": 1, "workers": 1}), "--ladder", "{ladder: '20'}"]
        found = recollect("study", *asked, *more, "--out", "study")
    assert found.code == 0
    text = screen.getvalue()
    assert re.search(r"2 trainings to come; .*\. The restoration ladder of one model has \d+ rungs", text)
    cells = [line for line in text.splitlines() if "training and asking: " in line]
    for part in (
        r"training \d+/\d+ updates",
        "asking",
        "comparing with the base",
        r"climbing the ladder \d+/\d+ rungs",
    ):
        assert any(re.search(f"random-(8|16)-seed0: {part}", line) for line in cells), (part, cells[-5:])
    assert any(re.search(r"[01]/2 models, 0:\d\d so far, about 0:\d\d left", line) for line in cells)
