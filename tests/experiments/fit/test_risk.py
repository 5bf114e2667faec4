"""The forecast of what a training makes the base forget, by hand."""

from pathlib import Path

import polars as pl
import pytest

from recollect.core.estimates import Estimate
from recollect.core.workspace.fit import FitFound, RiskFound, SetsFound
from recollect.experiments.fit.advice import advice
from recollect.experiments.fit.answers import Answers
from recollect.experiments.fit.risk import FILE, check_risk, foretell_risk

SCORES = {"a": 0.1, "b": 0.2, "c": 0.5, "d": 0.5, "e": 0.8, "f": 0.9, "not known": 0.0}


def levels(scores: dict[str, float] = SCORES) -> pl.DataFrame:
    return pl.DataFrame({"fact_id": list(scores), "score": list(scores.values()), "level": [1] * len(scores)})


def said(*right: str) -> Answers:
    """Answers to all of them."""
    found = Answers(Path())
    found.__dict__["items"] = pl.DataFrame(
        {"item": list(SCORES), "unit": list(SCORES), "right": [name in right for name in SCORES]}
    )
    return found


KNOWN = frozenset(SCORES) - {"not known"}


def check(folder: Path, *kept: str) -> RiskFound:
    foretell_risk(levels(), folder)
    found = check_risk(folder, KNOWN, said(*kept))
    assert found is not None
    return found


def test_the_least_sure_are_lost_first(tmp_path: Path):
    found = check(tmp_path, "c", "d", "e", "f")
    assert (found.known, found.lost) == (6, 2)
    assert found.area is not None
    assert found.area.value == 1
    assert found.most_at_risk is not None
    assert (found.most_at_risk.value, found.most_at_risk.n) == (1, 2)
    assert found.others is not None
    assert (found.others.value, found.others.n) == (0, 4)


def test_an_area_by_hand(tmp_path: Path):
    """Lost b and d; kept a, c (tied with d), e, f: b is above c, e, f, d above e, f and half of c."""
    found = check(tmp_path, "a", "c", "e", "f")
    assert found.area is not None
    assert found.area.value == pytest.approx((3 + 2.5) / 8)
    assert found.area.low < 0.5 < found.area.high


def test_of_fewer_than_two_lost_there_is_no_area(tmp_path: Path):
    assert check(tmp_path, "a", "b", "c", "d", "e") == RiskFound(known=6, lost=1)


def test_the_forecast_is_not_made_anew(tmp_path: Path):
    foretell_risk(levels(), tmp_path)
    before = pl.read_parquet(tmp_path / FILE)
    foretell_risk(levels({"a": 1.0}), tmp_path)
    assert pl.read_parquet(tmp_path / FILE).equals(before)
    ranks = dict(zip(before["fact_id"].to_list(), before["rank"].to_list(), strict=True))
    assert ranks["not known"] == 1
    assert ranks["c"] == ranks["d"] == 4.5


def test_without_a_probe_nothing_is_foretold(tmp_path: Path):
    foretell_risk(None, tmp_path)
    assert check_risk(tmp_path, KNOWN, said("a")) is None
    foretell_risk(levels(), tmp_path)
    assert check_risk(tmp_path, KNOWN, None) is None


def test_the_advice_says_whether_it_could_be_foretold(tmp_path: Path):
    found = FitFound.model_validate(
        {
            "chosen": "base",
            "chosen_by": "",
            "goal": "facts",
            "scored": "",
            "known": "was known",
            "charge": 0.5,
            "sets": SetsFound(train=1, validation=1, test=7),
            "contenders": [{"name": "base"}],
            "budget": "1m",
            "given": [],
            "parameters": 1,
            "facts": {"name": "x"},
            "machine": "",
            "title": "",
            "seconds": 0.0,
            "risk": check(tmp_path, "a", "c", "e", "f"),
        }
    )
    lines = [line for line in advice(found) if "ROC area 0.69" in line]
    assert len(lines) == 1
    assert lines[0].startswith("It cannot be told whether how sure the base is foretells")
    assert "only 2 of 6 known facts were lost" in lines[0]
    other = tmp_path / "other"
    other.mkdir()
    foretold = found.model_copy(update={"risk": clear(other)})
    [line] = [line for line in advice(foretold) if "ROC area" in line]
    assert "can be foretold" in line
    assert foretold.risk is not None and foretold.risk.area is not None
    worse = Estimate(0.2, 0.1, 0.3, 40, "paired")
    wrong = foretold.model_copy(update={"risk": foretold.risk.model_copy(update={"area": worse})})
    [line] = [line for line in advice(wrong) if "ROC area" in line]
    assert "was not foretold: it lost 10 of 40 known facts" in line and "cannot be told" not in line


def clear(folder: Path) -> RiskFound:
    """Forty facts, of which the ten least sure are lost."""
    names = [f"{at:02}" for at in range(40)]
    foretell_risk(levels({name: at / 40 for at, name in enumerate(names)}), folder)
    plain = Answers(Path())
    plain.__dict__["items"] = pl.DataFrame({"item": names, "unit": names, "right": [at >= 10 for at in range(40)]})
    found = check_risk(folder, names, plain)
    assert found is not None
    return found
