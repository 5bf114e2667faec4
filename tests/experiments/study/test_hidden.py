"""A study that splits level 0: the step is there, the page tells of it, and a study without it keeps its name."""

from pathlib import Path

from helpers_study import settings
from helpers_world import World
from recollect.experiments.study import StudyResult, run_study
from recollect.hidden import HiddenFound
from recollect.report.chapters.knows.record import Known


def test_a_study_splits_level_0_and_shows_it(whole: StudyResult, world: World, tmp_path: Path) -> None:
    asked = settings(world, measure_hidden=True, choices=["random"], sizes=[4], repair=[], measure_drift=False)
    study = run_study(asked, tmp_path / "study")
    found = HiddenFound.read(study.path / "steps" / "hidden")
    known = study.results.of(Known)
    assert known is not None and known.hidden is not None
    assert found.level_0 == sum(row.n for row in known.levels if row.level == 0)
    assert known.hidden.hidden + known.hidden.absent + known.hidden.undecided == found.level_0
    assert known.hidden.share == found.share
    page = study.report.read_text(encoding="utf-8")
    assert "Level 0: hidden or absent?" in page
    assert f"For the {found.level_0:,} facts of level 0" in page
    assert "Level 0: hidden or absent?" not in whole.report.read_text(encoding="utf-8")


def test_a_study_without_it_keeps_its_fingerprint(world: World) -> None:
    assert "measure_hidden" not in settings(world).fingerprint_values()
    assert settings(world, measure_hidden=True).fingerprint_values()["measure_hidden"] is True
