"""A search whose ledger or folder was damaged between two runs: nothing is trained twice, or one line says the way
out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import recollect.experiments.search.runner as runner_module
from helpers_search_run import SPACE, TABLES, Stop, rungs_on_disk
from helpers_world import EVALUATE, World
from recollect.errors import RecollectError, StepError
from recollect.experiments.search import Job, SearchResult, SearchSettings, run_search
from recollect.experiments.search.once import Event
from recollect.experiments.search.rung_file import claim


@pytest.fixture(scope="module")
def settings(world: World, levels: Path) -> SearchSettings:
    return SearchSettings.make(
        model=str(world.model),
        facts=str(world.facts),
        levels=str(levels),
        space=SPACE,
        trials=5,
        sampler="random",
        select={"size": 12, "level": "random"},
        train={"epochs": 1},
        evaluate=EVALUATE,
    )


@pytest.fixture(scope="module")
def whole(settings: SearchSettings, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """An undisturbed search."""
    return run_search(settings, tmp_path_factory.mktemp("whole") / "search")


def stopped(settings: SearchSettings, out: Path, after: int) -> dict[str, bytes]:
    """Begin a search and stop it after so many rungs; the rungs' files."""
    told = 0

    def watch(event: Event) -> None:
        nonlocal told
        told += 1
        if told == after:
            raise Stop

    with pytest.raises(Stop):
        run_search(settings, out, watch=watch)
    return rungs_on_disk(out.with_name(out.name + ".partial"))


def flip(data: bytes) -> bytes:
    """One bit of a score's digit in the middle of the file."""
    at = data.index(b'"score_20":', len(data) // 2) + len(b'"score_20":')
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-30],
    "flipped": flip,
    "emptied": lambda data: b"",
}
MORE: dict[str, Callable[[bytes], bytes]] = {
    "garbage behind": lambda data: data + b"garbage\n",
    "garbage before": lambda data: b"X" + data[1:],
    "glued": lambda data: data[:-30] + data.splitlines(keepends=True)[-3],
    "zeros": lambda data: data[:-100] + bytes(100),
}


@pytest.mark.parametrize("name", [*DAMAGES, *(pytest.param(one, marks=pytest.mark.slow) for one in MORE)])
def test_a_damaged_ledger_costs_no_training(
    settings: SearchSettings, whole: SearchResult, tmp_path: Path, name: str
) -> None:
    kept = stopped(settings, tmp_path / "search", after=5)
    ledger = tmp_path / "search.partial" / "ledger.journal"
    ledger.write_bytes((DAMAGES | MORE)[name](ledger.read_bytes()))
    said: list[str] = []
    result = run_search(settings, tmp_path / "search", say=said.append)
    assert kept.items() <= rungs_on_disk(result.path).items(), "a finished rung was run again"
    assert len(said) == (name != "emptied") and not any("\n" in line for line in said)
    for table in TABLES:
        assert (whole.path / table).read_bytes() == (result.path / table).read_bytes(), table


def test_a_score_that_is_another_in_the_trials_folder_stops_the_search(
    settings: SearchSettings, tmp_path: Path
) -> None:
    stopped(settings, tmp_path / "search", after=3)
    file = tmp_path / "search.partial/trials/000/rung-0.json"
    stored = json.loads(file.read_text())
    stored["outcome"]["score"] += 50
    file.write_text(json.dumps(stored))
    with pytest.raises(StepError, match=r"trial 0 scored .* by the ledger but .*rung-0.json.*one of them is damaged"):
        run_search(settings, tmp_path / "search")


def test_trainings_of_other_settings_are_set_aside_and_named(
    settings: SearchSettings, whole: SearchResult, tmp_path: Path
) -> None:
    """As where several workers raced: the ledger is lost, and trial 2 is decided otherwise than it was."""
    stopped(settings, tmp_path / "search", after=5)
    partial = tmp_path / "search.partial"
    (partial / "ledger.journal").write_bytes(b"")
    for file in (partial / "trials/002").glob("*.json"):
        stored = json.loads(file.read_text())
        file.write_text(json.dumps({**stored, "values": {**stored["values"], "batch_size": 3}}))
    said: list[str] = []
    result = run_search(settings, tmp_path / "search", say=said.append)
    assert len(said) == 1 and "002.aside-1" in said[0]
    assert json.loads((result.path / "trials/002.aside-1/values.json").read_text())["values"]["batch_size"] == 3
    assert result.trials()["set_batch_size"].to_list() == whole.trials()["set_batch_size"].to_list()


def test_a_folder_is_claimed_once_for_its_settings(tmp_path: Path) -> None:
    folder, job = tmp_path / "trials" / "007", Job(7, 0, 0.2, {"x": 1, "y": (1, 2)})
    claim(folder, job)
    (folder / "kept").touch()
    claim(folder, job)
    assert (folder / "kept").is_file()
    claim(folder, Job(7, 0, 0.2, {"x": 2, "y": (1, 2)}))
    assert not (folder / "kept").is_file() and (tmp_path / "trials/007.aside-1/kept").is_file()
    claim(folder, job)
    assert not (folder / "kept").is_file() and (tmp_path / "trials/007.aside-2").is_dir()


def test_a_rungs_file_that_is_garbled_is_one_line_and_the_way_out_works(
    settings: SearchSettings, whole: SearchResult, tmp_path: Path
) -> None:
    kept = stopped(settings, tmp_path / "search", after=3)
    partial = tmp_path / "search.partial"
    file = partial / "trials/001/rung-0.json"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(StepError, match=r"001/rung-0.json is damaged.*move the ledger away"):
        run_search(settings, tmp_path / "search")
    (partial / "ledger.journal").rename(tmp_path / "ledger.journal")
    result = run_search(settings, tmp_path / "search")
    kept.pop("trials/001/rung-0.json")
    assert kept.items() <= rungs_on_disk(result.path).items()
    for table in TABLES:
        assert (whole.path / table).read_bytes() == (result.path / table).read_bytes(), table


def test_a_search_whose_trainings_all_break_is_one_line(
    settings: SearchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "exploded", lambda losses: "the loss exploded")
    with pytest.raises(
        RecollectError, match=r"no trial was trained to its end \(5 degenerate\).*the loss exploded"
    ) as one:
        run_search(settings, tmp_path / "search")
    assert "\n" not in str(one.value)
