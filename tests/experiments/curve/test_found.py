"""What a curve found is read back as it was, from manifests of this and of earlier versions."""

from __future__ import annotations

from recollect.cli.curve import _flat
from recollect.core.workspace.curve import PartFound
from recollect.experiments.curve import CurveFound, Observations, judge_curve

SIZES, MEANS = (0, 15, 60, 240, 960), (8, 25, 32, 27, 18)


def found() -> CurveFound:
    rows = [(n, s, mean + 0.2 * s) for n, mean in zip(SIZES, MEANS, strict=True) for s in range(2) if n or not s]
    verdict = judge_curve(Observations.of(*map(list, zip(*rows, strict=True))))
    return CurveFound(parts={"test": PartFound(verdict=verdict, lines=("Peaked.",))}, trainings=8, seconds=1.5)


def test_it_is_read_back_whole() -> None:
    assert CurveFound.model_validate_json(found().model_dump_json()) == found()


def test_a_flat_manifest_of_an_earlier_version_is_the_same_curve() -> None:
    """Its sizes were whole numbers, and it kept no drawn fits."""
    now = found()
    flat = _flat(now.verdict)
    old = {**flat, "part": "test", "ood": None, "lines": {"test": ["Peaked."]}, "trainings": 8, "seconds": 1.5}
    read = CurveFound.model_validate(old)
    assert (read.main, read.trainings, read.seconds) == ("test", 8, 1.5)
    assert _flat(read.verdict) == flat
    assert read.parts["test"].lines == ("Peaked.",)
