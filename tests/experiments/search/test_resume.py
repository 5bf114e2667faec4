"""A search that was stopped, or is asked for again: nothing is lost, and nothing is done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import recollect.experiments.executors.ray as ray_module
import recollect.experiments.search.once as once_module
from helpers_search_run import Stop, rungs_on_disk, same_tables, values
from helpers_world import World
from recollect.errors import StepBusy, StepError
from recollect.experiments.search import SearchResult, SearchSettings, run_search
from recollect.experiments.search.once import Event
from recollect.experiments.search.runner import TrialRunner


def test_the_same_command_finds_the_search_done(
    whole: SearchResult, world: World, levels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recollect.experiments.search.once.run_loop", lambda *_, **__: pytest.fail("ran again"))
    again = run_search(SearchSettings.make(**values(world, levels, workers=2)), whole.path)
    assert again.found == whole.found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "setting seed was 0, now 1"),
        ({"space": {"learning_rate": [1e-3, 2e-3]}}, "input space was"),
        ({"rungs": [0.5, 1.0]}, "setting rungs"),
    ],
)
def test_another_search_is_refused_in_its_place(
    whole: SearchResult, world: World, levels: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(StepError, match=words):
        run_search(SearchSettings.make(**values(world, levels, **change)), whole.path)


def test_a_stop_after_the_weights_were_dropped_loses_nothing(
    whole: SearchResult, world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SearchSettings.make(**values(world, levels))
    drop = once_module._Search._drop_weights

    def stop(*given: Any) -> None:
        drop(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(once_module._Search, "_drop_weights", stop)
        with pytest.raises(KeyboardInterrupt):
            run_search(settings, tmp_path / "search")
    same_tables(run_search(settings, tmp_path / "search"), whole)


def test_a_search_that_was_trained_to_its_end_needs_no_cluster(
    world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its ending was lost: the doors are not asked for again."""
    settings = SearchSettings.make(**values(world, levels, trials=2))
    with monkeypatch.context() as stopped:
        stopped.setattr(once_module, "held_out_test", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_search(settings, tmp_path / "search")
    monkeypatch.setattr(ray_module.RayExecutor, "check", lambda *_: pytest.fail("the cluster was asked for"))
    on_ray = SearchSettings.make(**values(world, levels, trials=2, executor="ray", address="10.0.0.1:6379"))
    assert run_search(on_ray, tmp_path / "search").found.trials == 2


@pytest.mark.slow
def test_ten_stops_lose_no_finished_rung_and_change_nothing(
    whole: SearchResult, world: World, levels: Path, tmp_path: Path
) -> None:
    settings = SearchSettings.make(**values(world, levels))
    kept: dict[str, bytes] = {}
    partial = tmp_path / "search.partial"
    for _ in range(10):
        told = 0

        def watch(event: Event) -> None:
            nonlocal told
            told += 1
            raise Stop

        try:
            run_search(settings, tmp_path / "search", watch=watch)
        except Stop:
            now = rungs_on_disk(partial)
            assert len(now) == len(kept) + told
            assert kept.items() <= now.items(), "a finished rung was run again"
            kept = now
    result = run_search(settings, tmp_path / "search")
    assert kept.items() <= rungs_on_disk(result.path).items()
    same_tables(whole, result)


def test_a_stop_between_training_and_ledger_loses_nothing(
    whole: SearchResult, world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SearchSettings.make(**values(world, levels))
    real = TrialRunner.run
    with monkeypatch.context() as patch:

        def stops(self: TrialRunner, job: Any) -> Any:
            outcome = real(self, job)
            if job.trial == 2:
                raise KeyboardInterrupt
            return outcome

        patch.setattr(TrialRunner, "run", stops)
        with pytest.raises(KeyboardInterrupt):
            run_search(settings, tmp_path / "search")
    kept = rungs_on_disk(tmp_path / "search.partial")
    assert "trials/002/rung-0.json" in kept
    result = run_search(settings, tmp_path / "search")
    assert kept.items() <= rungs_on_disk(result.path).items()
    same_tables(whole, result)


def test_two_loops_on_one_search_are_refused(world: World, levels: Path, tmp_path: Path) -> None:
    settings = SearchSettings.make(**values(world, levels))

    def watch(event: Event) -> None:
        with pytest.raises(StepBusy, match="another process is working"):
            run_search(settings, tmp_path / "search")
        raise Stop

    with pytest.raises(Stop):
        run_search(settings, tmp_path / "search", watch=watch)


def test_two_loops_on_one_storage_are_refused(world: World, levels: Path, tmp_path: Path) -> None:
    settings = SearchSettings.make(**values(world, levels, storage=str(tmp_path / "shared.journal")))

    def watch(event: Event) -> None:
        with pytest.raises(StepError, match="another search is at work"):
            run_search(settings, tmp_path / "second")
        raise Stop

    with pytest.raises(Stop):
        run_search(settings, tmp_path / "first", watch=watch)
    with pytest.raises(StepError, match="trial 0, but its folder is not in"):
        run_search(settings, tmp_path / "third")
    other = settings.model_copy(update={"space": {"batch_size": [4, 8]}})
    with pytest.raises(StepError, match="of another search space"):
        run_search(other, tmp_path / "fourth")


@pytest.mark.slow
def test_a_larger_budget_goes_on_with_an_unfinished_search(world: World, levels: Path, tmp_path: Path) -> None:
    def watch(event: Event) -> None:
        raise Stop

    with pytest.raises(Stop):
        run_search(SearchSettings.make(**values(world, levels, trials=3)), tmp_path / "search", watch=watch)
    result = run_search(SearchSettings.make(**values(world, levels, trials=4)), tmp_path / "search")
    assert result.found.trials == 4


def test_resume_only_goes_on(world: World, levels: Path, tmp_path: Path) -> None:
    settings = SearchSettings.make(**values(world, levels, resume=True))
    with pytest.raises(StepError, match="no search at .* to resume"):
        run_search(settings, tmp_path / "search")
    assert not list(tmp_path.iterdir())
