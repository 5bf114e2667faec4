"""The findings' verdicts on invented studies, what is missing, the chapter, and the answer for the CLI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from helpers_findings import World, exact, study
from recollect.cli.findings import findings_answer, print_findings
from recollect.core.estimates import Trainings
from recollect.report import Results, make_results, render
from recollect.report.chapters.drift.claims import drift_claims
from recollect.report.chapters.findings.checks.studied import FEW_SHOT, Studied
from recollect.report.chapters.findings.judge import judge
from recollect.report.chapters.findings.literature import literature
from recollect.report.chapters.findings.words import counts_line, finding_line, first_line, to_add
from recollect.report.chapters.sizes.claims import claims
from recollect.report.scores.findings import FindingFound, Findings
from recollect.report.scores.papers import Claim, told

LEVELS = {0: 0.01, 1: 0.3, 2: 0.6, 3: 0.75, 4: 0.85}


def published(choice: str, size: int, level: int) -> float:
    """Every finding about accuracies holds, and clearly."""
    own = 0.07 if choice == str(level) else 0.0
    low = -0.15 if choice == "0" and level >= 3 else 0.0
    best = 0.1 if choice == "2" and level else 0.0
    return min(max(LEVELS[level] + own + low + best + {60: -0.15, 240: 0.0, 960: -0.2}[size], 0.003), 0.99)


HOLDS = World(
    accuracy=published,
    base=lambda level: 0.05 * level,
    few_shot=lambda level: min(LEVELS[level] + 0.1, 0.99),
    kl=lambda choice, size: {60: 0.8, 240: 0.2, 960: 1.2}[size],
    share_top=0.95,
    rung=lambda order, percent: (
        {20.0: 0.75, 60.0: 0.03}.get(percent, 0.6) if order == "relative" else 0.5 if order == "tuned" else 0.45
    ),
    facts=300,
    seeds=5,
    spread=0.01,
)


def by_id(found: Findings) -> dict[int, FindingFound]:
    return {one.id: one for one in found.findings}


@pytest.fixture(scope="module")
def holds() -> Findings:
    return judge([study(HOLDS, np.random.default_rng(0))])


def test_where_everything_is_as_published_clear_findings_are_confirmed(holds: Findings) -> None:
    found = by_id(holds)
    assert {number: found[number].verdict for number in (1, 2, 3, 4, 7, 9, 11, 12)} == dict.fromkeys(
        (1, 2, 3, 4, 7, 9, 11, 12), "confirmed"
    )
    assert [check.verdict for check in found[8].checks[:2]] == ["confirmed", "confirmed"]
    assert found[8].checks[2].effect.value < 0  # type: ignore[union-attr]
    assert 5 not in found and 6 not in found  # one model


def test_where_all_is_the_other_way_round_they_are_refuted() -> None:
    world = replace(
        HOLDS,
        accuracy=lambda choice, size, level: 0.9 - 0.1 * level - {60: 0.2, 240: 0.1, 960: 0.0}[size]
        - (0.12 if choice == str(level) else 0.0) + (0.1 if choice == "0" else 0.0) - (0.1 if choice == "2" else 0.0),
        base=lambda _: 0.95,
        few_shot=lambda _: 0.05,
        kl=lambda choice, size: {60: 0.3, 240: 1.2, 960: 0.2}[size],
        share_top=0.5,
        rung=lambda order, percent: {"relative": 0.35, "interpolation": 0.8, "tuned": 0.5}.get(order, 0.6),
    )  # fmt: skip
    found = by_id(judge([study(world, np.random.default_rng(1))]))
    numbers = (1, 2, 3, 4, 7, 8, 9, 11, 12)
    assert {number: found[number].verdict for number in numbers} == dict.fromkeys(numbers, "refuted")


def test_one_training_a_cell_gives_numbers_and_no_verdict() -> None:
    found = judge([study(replace(HOLDS, seeds=1), np.random.default_rng(2))])
    assert found.tested == 0
    for one in found.findings:
        assert one.verdict == "not decided here"
        for check in one.checks:
            assert check.value is not None and check.effect is None and "--repeats" in check.needs


def test_what_is_missing_is_named_in_the_studys_own_words() -> None:
    small = World(sizes=(15, 20), choices=("random",))
    whole = study(small, np.random.default_rng(3))
    scores = {cell: rows for cell, rows in whole.test.scores.items() if cell != FEW_SHOT}
    bare = Studied("", "pocket", "facts", replace(whole.test, scores=scores))
    found = by_id(judge([bare]))
    needs = {number: found[number].deciding.needs for number in found}
    assert "add 60 to --sizes" in needs[1]
    assert "--choices" in needs[3] and "--choices" in needs[4]
    assert "--sizes" in needs[7]
    assert "measure_drift" in needs[8] and "measure_drift" in needs[9] and "measure_drift" in needs[10]
    assert "few_shot" in needs[11]
    assert "--repair" in needs[12]
    assert {one.verdict for number, one in found.items() if number != 2} == {"not decided here"}


def test_levels_with_few_facts_enter_nothing() -> None:
    whole = study(HOLDS, np.random.default_rng(4))
    levels = np.where(whole.test.levels == 4, np.where(np.arange(1500) % 40 == 0, 4, -1), whole.test.levels)
    assert (levels == 4).sum() == 7 or (levels == 4).sum() == 8
    found = by_id(judge([replace(whole, test=Trainings(whole.test.scores, levels, whole.test.untrained))]))
    assert found[2].verdict == "confirmed"
    assert all(row.name != "on test facts of level 4" for row in found[3].checks[0].rows)


def test_models_are_compared_where_there_are_several() -> None:
    rng = np.random.default_rng(5)
    worlds = [replace(HOLDS, memory=memory) for memory in ((0.6, 0.1, 0.1, 0.1, 0.1), (0.1, 0.1, 0.1, 0.1, 0.6))]
    two = judge([study(world, rng, f"m{at}", f"model {at}") for at, world in enumerate(worlds)])
    found = {(one.id, one.part): one for one in two.findings}
    assert found[5, ""].verdict == "confirmed"
    assert found[6, ""].verdict == "not decided here" and "3 models" in found[6, ""].deciding.needs
    assert found[2, "m0"].verdict == found[2, "m1"].verdict == "confirmed"


def test_the_exact_study_of_a_world_has_the_numbers_by_hand() -> None:
    found = by_id(judge([exact(replace(HOLDS, choices=("0", "2", "4")))]))
    first = found[1].checks[0].value
    rows = [np.mean([published(choice, 60, level) for level in range(5)]) for choice in ("0", "2", "4")]
    assert first == pytest.approx(np.mean(rows) - 0.1)
    slopes = [
        np.mean([np.polyfit(range(5), [published(c, s, level) for level in range(5)], 1)[0] for s in HOLDS.sizes])
        for c in ("0", "2", "4")
    ]
    assert found[2].checks[0].value == pytest.approx(min(slopes))
    own = [
        published(str(level), size, level)
        - np.mean([published(other, size, level) for other in ("0", "2", "4") if other != str(level)])
        for level in (0, 2, 4)
        for size in HOLDS.sizes
    ]
    assert found[3].checks[0].value == pytest.approx(np.mean(own))
    falls = [
        np.mean([published(c, 240, level) - published(c, 960, level) for level in range(5)]) for c in ("0", "2", "4")
    ]
    assert found[7].checks[0].value == pytest.approx(max(falls))
    assert [check.value for check in found[9].checks] == pytest.approx([0.95, 0.25, 0.3, 0.03 - 0.25])
    assert found[12].checks[0].value == pytest.approx(-0.05)


def test_the_papers_own_figures_are_made_from_their_tables() -> None:
    known = literature()
    assert sorted(known) == list(range(1, 20))
    assert known[2].values[0] == pytest.approx(0.20055)  # level 1: (-2 x 0.98 - 40.12 + 74.19 + 2 x 84.22) / 10 points
    assert known[4].values[1] == pytest.approx(0.02384, abs=1e-4)  # 57.53 of level 2 less 55.15 of level 3
    assert known[7].values[2] == pytest.approx(0.1206, abs=1e-4)
    assert known[13].values[0] == pytest.approx(0.18) and known[16].values[1] == pytest.approx(0.8)
    assert known[9].values[:2] == pytest.approx([0.9176, 0.04766])


def test_the_answer_has_one_entry_a_finding_with_the_deciding_number(holds: Findings) -> None:
    answers = holds.answer()
    assert [one["id"] for one in answers] == [one.id for one in holds.findings]
    first = answers[0]
    assert first["verdict"] == "confirmed" and first["low"] <= first["effect"] <= first["high"]  # type: ignore[operator]
    undecided = judge([study(replace(HOLDS, seeds=1), np.random.default_rng(2))]).answer()[0]
    assert undecided["low"] is None and "--repeats" in str(undecided["needs"])


def test_a_line_says_the_verdict_and_why(holds: Findings) -> None:
    line = finding_line(by_id(holds)[9])
    assert line.startswith("Most of the change of the weights does not help: confirmed: share")
    assert "%" in line and line.endswith(".")


def test_the_chapter_shows_every_finding_with_its_paper(holds: Findings) -> None:
    frame = {"title": "x", "created": "2026-01-01", "version": "0"}
    html = render(make_results({**frame, "chapters": {"findings": holds.model_dump(mode="json")}}))
    assert "The papers' findings, tested here" in html.replace("&#39;", "'")
    for one in literature().values():
        assert (one.title.replace("'", "&#39;") in html) == (one.id not in (5, 6) and one.id < 13)
    assert "Holm" in html and "arXiv 2509.04259" in html and "<svg" in html


def test_the_terminal_has_a_line_for_each_that_is_decided(holds: Findings, capsys: pytest.CaptureFixture[str]) -> None:
    frame = {"title": "x", "created": "2026-01-01", "version": "0"}
    results = make_results({**frame, "chapters": {"findings": holds.model_dump(mode="json")}})
    print_findings(results)
    told = capsys.readouterr().out
    decided = [one for one in holds.findings if one.verdict != "not decided here"]
    assert len([line for line in told.splitlines() if line.startswith("finding ")]) == len(decided)
    assert "finding 2: Better-memorised facts are answered better: confirmed: smallest slope" in told
    assert "Of 10 findings of the papers, " in told and f"{len(holds.findings) - len(decided)} not decided here" in told
    assert findings_answer(results) == holds.answer()
    nothing = make_results(frame)
    print_findings(nothing)
    assert capsys.readouterr().out == "" and findings_answer(nothing) == []


def _found(number: int, part: str = "", **check: Any) -> FindingFound:
    one = {"what": "some number", "unit": "share", "side": "above", **check}
    verdict = one.get("verdict", "not decided here")
    return FindingFound.model_validate({"id": number, "part": part, "verdict": verdict, "checks": [one]})


def test_the_shown_digits_tell_on_which_side_of_the_boundary_an_interval_lies() -> None:
    near = {"value": 0.8993, "low": 0.8990, "high": 0.8997, "n": 9, "method": "made", "confidence": 0.95}
    line = finding_line(_found(9, boundary=0.9, effect=near, verdict="refuted"))
    assert "89.93 (89.90–89.97) %; the finding says above 90.0 %" in line
    far = {**near, "value": 0.85, "low": 0.80, "high": 0.89}
    assert "85.0 (80.0–89.0) %" in finding_line(_found(9, boundary=0.9, effect=far, verdict="refuted"))


def test_verdicts_of_several_studies_are_not_counted_as_findings() -> None:
    grid = Findings(tested=0, findings=[_found(n, part) for n in (1, 2) for part in ("a", "b")] + [_found(5)])
    assert counts_line(grid) == (
        "3 findings of the papers, 2 of them tested on each of 2 studies and 1 on all together: of 5 verdicts, "
        "5 not decided here"
    )
    assert counts_line(Findings(tested=0, findings=[_found(1)])) == "Of 1 finding of the papers, 1 not decided here"


def test_a_grids_first_line_is_a_decided_finding_or_what_to_add() -> None:
    open_ = [_found(1, "a", needs="add 60"), _found(7, "a", needs="add 60"), _found(9, "a", needs="climb")]
    nothing = Findings(tested=0, findings=open_)
    assert to_add(nothing) == [("add 60", "findings 1, 7"), ("climb", "finding 9")]
    assert first_line(nothing).endswith("nothing is decided here. What would help most: add 60 (findings 1, 7).")
    effect = {"value": 0.95, "low": 0.93, "high": 0.97, "n": 9, "method": "made", "confidence": 0.95}
    decided = Findings(tested=1, findings=[*open_, _found(9, "b", boundary=0.9, effect=effect, verdict="confirmed")])
    assert first_line(decided).startswith(f"{literature()[9].title} (b): confirmed")
    html = render(
        make_results(
            {
                "title": "x",
                "created": "2026-01-01",
                "version": "0",
                "chapters": {"findings": nothing.model_dump(mode="json")},
            }
        )
    )
    assert "What to add to these studies" in html and "3 findings of which nothing could be measured here" in html


def test_what_a_finding_says_is_told_where_nothing_is_measured() -> None:
    small = World(facts=12, sizes=(10,), choices=("random",))
    bare = replace(study(small, np.random.default_rng(1)), ladders=None, drifted={}, kl=None)
    found = by_id(judge([bare]))
    assert [(check.side, check.boundary) for check in found[12].checks] == [("below", 0.02)]
    assert [check.side for check in found[9].checks] == ["above", "above", "above", "below"]
    assert [(check.side, check.boundary) for check in found[1].checks[:2]] == [("above", 0), ("below", 0.02)]
    assert found[9].checks[0].boundary == 0.9 and found[8].checks[2].side == "below"


def test_three_models_with_few_test_facts_are_told_what_is_missing() -> None:
    rng, few = np.random.default_rng(6), World(facts=8, seeds=2, percents=(20, 60))
    found = judge([study(few, rng, f"m{at}", f"model {at}") for at in range(3)])
    (alike,) = (one for one in found.findings if one.id == 6)
    assert alike.verdict == "not decided here" and "10 test facts" in alike.deciding.needs


def test_the_tables_of_sizes_and_drift_show_the_findings_own_verdicts(holds: Findings) -> None:
    alone = Claim("a paper", "a finding", "differs", "numbers", 9, (0,))
    gap, whole = Claim("p", "f", "cannot tell", "n", 7, (0, 1)), Claim("p", "f", "agrees", "n", 8)
    untested = Claim("p", "f", "agrees", "n")
    shown = told([alone, gap, whole, untested], holds)
    assert [(one.verdict, one.number) for one in shown[:2]] == [("confirmed", 9), ("confirmed", 7)]
    assert (shown[2].verdict, shown[3].verdict, shown[3].number) == (by_id(holds)[8].verdict, "agrees", None)
    assert [(one.verdict, one.mark, one.number) for one in told([alone], None)] == [("differs", "bad", None)]
    of_a_grid = holds.model_copy(update={"findings": [one.model_copy(update={"part": "a"}) for one in holds.findings]})
    assert told([alone], of_a_grid)[0].number is None


@pytest.mark.parametrize(
    ("claims", "tested"),
    [
        (claims, [(1, ()), (7, (0, 1)), (4, (1,)), (2, ()), (3, ()), (4, (0,))]),
        (drift_claims, [(8, (0, 1)), (None, ()), (8, (2,)), (9, (0,)), (9, (1,)), (9, (3,))]),
    ],
)
def test_each_claim_names_the_checks_that_are_about_it(
    claims: Callable[[Results], list[Claim]], tested: list[tuple[int | None, tuple[int, ...]]], holds: Findings
) -> None:
    frame = {"title": "x", "created": "2026-01-01", "version": "0"}
    results = make_results({**frame, "chapters": {"drift": {}}})
    assert [(one.tested, one.places) for one in claims(results)] == tested
    assert all(at < len(by_id(holds)[number].checks) for number, places in tested if number for at in places)
