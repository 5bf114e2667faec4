"""The command `search`: its answer, its live lines, Ctrl-C and going on, and kills of the process and of workers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
import yaml

from helpers_schedule import bare_found
from helpers_search_run import TABLES, rungs_on_disk
from helpers_world import EVALUATE, Command, World
from recollect.core.settings import read_yaml
from recollect.experiments.search.results import lines
from recollect.experiments.search.validation import Points


@pytest.fixture
def config(world: World, levels: Path, tmp_path: Path) -> Path:
    """A search of three trials as a YAML file."""
    return write_config(world, levels, tmp_path)


def write_config(world: World, levels: Path, folder: Path, **changed: Any) -> Path:
    values = {
        "model": str(world.model),
        "facts": str(world.facts),
        "levels": str(levels),
        "space": {"learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}, "batch_size": [4, 8]},
        "trials": 3,
        "sampler": "random",
        "select": {"size": 20, "level": "random"},
        "train": {"epochs": 2},
        "evaluate": EVALUATE,
        **changed,
    }
    file = folder / "search.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def test_the_answer_is_one_json_object(recollect: Command, config: Path, tmp_path: Path) -> None:
    answer = recollect("search", "--config", config, "--out", tmp_path / "out", "--json")
    found = answer.json
    wanted = {
        *("best", "validation", "test", "baseline_test", "trials", "promoted", "cost_fraction"),
        *("early_final_correlation", "top5_overlap", "out"),
    }
    assert wanted <= set(found) and found["trials"] == 3
    assert set(found["best"]) == {"learning_rate", "batch_size"}
    assert "machine: " in answer.err and "trial  0 at  20 %" in answer.err and "best settings: " in answer.err
    again = recollect("search", "--config", config, "--out", tmp_path / "out", "--json")
    assert again.json == found


@pytest.mark.slow
def test_people_get_tables_and_sentences(recollect: Command, config: Path, tmp_path: Path) -> None:
    answer = recollect("search", "--config", config, "--out", tmp_path / "out")
    assert answer.code == 0
    said = " ".join(answer.out.split())  # lines break where the terminal ends
    for words in (
        "0 (baseline)",
        "Best on validation, by the mean over memory levels",
        ": trial",
        "settings tried",
        "unseen",
    ):
        assert words in said


@pytest.mark.slow
def test_the_best_settings_train_as_the_search_did(recollect: Command, config: Path, tmp_path: Path) -> None:
    found = recollect("search", "--config", config, "--out", tmp_path / "out", "--json").json
    comments = [line for line in (tmp_path / "out/best.yaml").read_text().splitlines() if line.startswith("#   ")]
    select, train = (line.removeprefix("#   recollect ").split() for line in comments)
    recollect(*select)
    recollect(*(str(tmp_path / "out/best.yaml") if word == "best.yaml" else word for word in train))
    mine = (tmp_path / "tuned/model/model.safetensors").read_bytes()
    assert mine == (Path(found["model"]) / "model/model.safetensors").read_bytes()


def test_a_space_may_be_a_file(recollect: Command, config: Path, tmp_path: Path) -> None:
    values = read_yaml(config)
    (tmp_path / "space.yaml").write_text("learning_rate: {low: 1e-3, high: 1e-2, log: true}\n")
    config.write_text(yaml.safe_dump({**values, "space": "space.yaml", "trials": 2}))
    found = recollect("search", "--config", config, "--out", tmp_path / "out", "--json").json
    assert set(found["best"]) == {"learning_rate"}
    text = "{learning_rate: {low: 1e-3, high: 1e-2, log: true}}"
    again = recollect("search", "--config", config, "--space", text, "--out", tmp_path / "out", "--json").json
    assert again == found, "the same space, in other words, is the same search"


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--resume"], 3, "no search at"),
        (["--budget-steps", "1"], 2, "budget_steps must be at least"),
        (["--space", "{learning_rat: [0.1]}"], 2, "Did you mean learning_rate"),
        (["--executor", "ray", "--repeats", "2", "--storage", "sqlite:///x"], 2, "storage"),
    ],
)
def test_bad_input_ends_with_its_code(
    recollect: Command, config: Path, tmp_path: Path, flags: list[str], code: int, words: str
) -> None:
    answer = recollect("search", "--config", config, "--out", tmp_path / "out", *flags)
    assert answer.code == code and words in answer.err


def test_ctrl_c_pauses_and_the_same_command_goes_on(config: Path, tmp_path: Path) -> None:
    search = start(config, tmp_path / "out")
    until(lambda: rungs_on_disk(tmp_path / "out.partial"), 120)
    search.send_signal(signal.SIGINT)
    _, errors = search.communicate(timeout=60)
    assert search.returncode == 130, errors
    assert "run the same command again to resume" in errors
    kept = rungs_on_disk(tmp_path / "out.partial")
    found = finish(config, tmp_path / "out", "--resume")
    assert found["trials"] == 3 and kept.items() <= rungs_on_disk(tmp_path / "out").items()


@pytest.mark.slow
def test_ten_kills_of_the_loop_lose_no_finished_rung(world: World, levels: Path, tmp_path: Path) -> None:
    """SIGKILL at random moments, with two workers that must not outlive the loop or stand in its way."""
    config = write_config(world, levels, tmp_path, trials=20, workers=2, order="submission", sampler="gp")
    draw = random.Random(0)
    kept: dict[str, bytes] = {}
    for kill in range(10):
        search = start(config, tmp_path / "out")
        before = len(kept)
        wait = draw.uniform(0, 0.5)
        end = time.monotonic() + 180
        while (
            len(rungs_on_disk(tmp_path / "out.partial")) <= before and search.poll() is None and time.monotonic() < end
        ):
            time.sleep(0.05)
        time.sleep(wait)
        search.kill()
        search.communicate()
        now = rungs_on_disk(tmp_path / "out.partial")
        assert kept.items() <= now.items(), f"kill {kill}: a finished rung was run again"
        kept = now
        assert not (tmp_path / "out").exists(), f"the search ended after {kill} kills; give it more trials"
    finish(config, tmp_path / "out")
    finish(config, tmp_path / "quiet")
    assert kept.items() <= rungs_on_disk(tmp_path / "out").items()
    for name in TABLES:
        assert pl.read_parquet(tmp_path / "out" / name).equals(pl.read_parquet(tmp_path / "quiet" / name)), name


@pytest.mark.slow
def test_killed_workers_are_replaced_and_nothing_is_lost(world: World, levels: Path, tmp_path: Path) -> None:
    config = write_config(world, levels, tmp_path, trials=8, workers=2, order="submission", retries=30)
    search = start(config, tmp_path / "out")
    draw, kills, kept = random.Random(1), 0, {}
    while search.poll() is None and kills < 10:
        time.sleep(draw.uniform(2, 6))
        now = rungs_on_disk(tmp_path / ("out" if (tmp_path / "out").exists() else "out.partial"))
        assert kept.items() <= now.items()
        kept = now
        workers = [
            child for child in psutil.Process(search.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        if workers:
            draw.choice(workers).kill()
            kills += 1
    output, errors = search.communicate(timeout=300)
    assert search.returncode == 0, errors
    assert kills >= 3 and json.loads(output.splitlines()[-1])["failed"] == 0
    finish(config, tmp_path / "quiet")
    for name in TABLES:
        assert pl.read_parquet(tmp_path / "out" / name).equals(pl.read_parquet(tmp_path / "quiet" / name)), name


def test_the_sentences_say_what_is_known_and_no_more() -> None:
    alone = bare_found(best={"learning_rate": 1e-3}, test=50.0)
    assert list(lines(alone)) == [
        "Best on validation: trial 0 (learning_rate 0.001).",
        "Nothing tried beat the baseline on validation; it scores 50.0 on unseen items.",
    ]
    named = {"validated_as": "mean over memory levels 0, 1", "scored_as": "mean over memory levels 0, 1, 2"}
    assert list(lines(alone.model_copy(update=named))) == [
        "Best on validation, by the mean over memory levels 0, 1: trial 0 (learning_rate 0.001).",
        "Nothing tried beat the baseline on validation; it scores 50.0 (the mean over memory levels 0, 1, 2) on unseen "
        "items.",
    ]
    gain = Points(value=2.04, low=-0.5, high=4.5, n=330)
    more = {"best_trial": 3, "gain_over_baseline": gain, "baseline_test": 47.96, "base_test": 10.0}
    better = alone.model_copy(update=more)
    said = list(lines(better))[1]
    assert "+2.0 (-0.5 to +4.5) points, with the 95 % interval over the questions" in said
    assert "Each was trained once" in said
    behind = better.model_copy(update={"validation": 40.0, "base_validation": 40.0})
    assert "No training did better than the untouched base on validation" in list(lines(behind))[1]


def start(config: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    code = "from recollect.cli.main import main; main()"
    arguments = [sys.executable, "-c", code, "search", "--config", str(config), "--out", str(out), "--json", *flags]
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ), cwd=config.parent
    )


def finish(config: Path, out: Path, *flags: str) -> dict[str, Any]:
    """Run the command to its end; its answer."""
    search = start(config, out, *flags)
    output, errors = search.communicate(timeout=500)
    assert search.returncode == 0, errors
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def until(true: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
