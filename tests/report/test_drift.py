"""The drift chapter: what it shows, what it leaves out, what it says."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import helpers_drift as made
from recollect.errors import InputError
from recollect.report import Results, make_results, read_results, render, write_report
from recollect.report.chapters.drift.charts import MOST_LAYERS, concentration, module_rows, shown_layers
from recollect.report.chapters.drift.claims import drift_claims
from recollect.report.chapters.drift.groups import drift_groups, floor
from recollect.report.chapters.drift.ladder import ladder_lines, length_line
from recollect.report.chapters.drift.older import ladder as older_ladder
from recollect.report.chapters.drift.older import older
from recollect.report.chapters.drift.record import Drift, Ladder
from recollect.report.chapters.drift.view import CHAPTER
from recollect.report.page.chapter import InShort
from recollect.report.page.render import fill


def drift_of(**values: Any) -> Drift:
    return Drift.model_validate(older(values))


def ladder_of(**values: Any) -> Ladder:
    return Ladder.model_validate(older_ladder(values))


def in_short(report: Results) -> InShort:
    return CHAPTER.in_short(report)


def results(**drift: Any) -> Results:
    """A report of nothing but drift."""
    return make_results({"title": "Drift", "created": "2025-01-01", "version": "0", "drift": drift})


def test_the_chapter_stands_alone_with_every_chart_and_its_table() -> None:
    html = render(make_results({"title": "Drift", "created": "2025-01-01", "version": "0", "drift": made.drift()}))
    figures = re.findall(r"<figure>.*?</figure>", html, flags=re.S)
    assert len(figures) == html.count("<svg") == 4
    assert all("<table>" in figure for figure in figures)
    assert "<h2><span>2</span>What training changed and broke</h2>" in html
    assert "published: LLaMA-3-8B, 240 examples of level 0 (arXiv 2509.16596)" in html
    assert "chosen: 20 %" in html
    assert "212 facts" in html
    assert "12.0 % of the weights did not change at all." in html


def test_without_general_text_no_loss_is_shown_and_equal_ends_are_one_number() -> None:
    none = {"general_base_loss": None, "general_tuned_loss": None, "share_top": {"20": 0.99999}}
    html = render(results(cells=[made.drift_cell("2", 60, 1.0, seed, **none) for seed in (0, 1)]))
    assert "loss, base" not in html and "Loss on" not in html and "known facts, base" in html
    assert "They hold 100.0 % in 2 tuned models." in html
    assert "loss, base" in render(results(cells=[made.drift_cell("2", 60, 1.0)]))


def test_an_empty_drift_renders_and_claims_nothing() -> None:
    html = render(results())
    assert "<svg" not in html
    assert html.count('<span class="mark ">cannot tell</span>') == 6


@pytest.mark.parametrize("left", ["cells", "modules", "ladders"])
def test_each_part_may_be_missing(left: str) -> None:
    html = render(results(**made.drift(**{left: []})))
    assert html.count("<svg") == {"cells": 2, "modules": 3, "ladders": 3}[left]
    assert ("The paper's own ladder" in html) == (left != "ladders")


def test_one_size_is_drawn_as_marks_with_intervals() -> None:
    cells = [made.drift_cell("2", 60, 0.8), made.drift_cell("random", 60, 1.0)]
    html = render(results(cells=cells))
    assert "One mark per training choice; bars are 95 % intervals" in html


def test_a_value_without_its_standard_error_is_not_drawn() -> None:
    (group,) = drift_groups(drift_of(cells=[made.drift_cell("2", 60, 0.8, kl_paper_se=None)]).cells)
    assert group.kl_paper is None
    assert group.kl_full is not None
    assert (group.kl_full.low, group.kl_full.high) == pytest.approx((1.12 - 1.96 * 0.03, 1.12 + 1.96 * 0.03))


def test_seeds_are_averaged_and_their_spread_widens_the_interval() -> None:
    one = drift_groups(drift_of(cells=[made.drift_cell("2", 60, 1.0)]).cells)[0].kl_paper
    two = drift_groups(drift_of(cells=[made.drift_cell("2", 60, kl, seed) for seed, kl in enumerate((0.8, 1.2))]).cells)
    both = two[0].kl_paper
    assert one and both
    assert two[0].seeds == (0, 1)
    assert both.value == pytest.approx(1.0)
    assert both.high - both.low > 3 * (one.high - one.low)


def test_the_floor_is_the_largest_of_all_cells() -> None:
    cells = [made.drift_cell("2", 60, 1.0, seed, kl_floor=low) for seed, low in enumerate((1e-9, None, 3e-9))]
    assert floor(drift_of(cells=cells).cells) == 3e-9
    assert floor([]) is None


def test_concentration_has_mean_and_range_and_the_published_share() -> None:
    cells = [made.drift_cell("2", at, 1.0, share_top={"20": share, "x": 0.5}) for at, share in ((60, 0.9), (90, 0.94))]
    (row,) = concentration(drift_of(cells=cells).cells)
    assert (row.percent, row.lowest, row.highest, row.n, row.published) == (20, 0.9, 0.94, 2, 0.9176)
    assert row.mean == pytest.approx(0.92)


def test_kinds_of_weight_are_summed_over_layers() -> None:
    drift = drift_of(modules=made.modules(3))
    rows = module_rows(drift.modules)
    assert rows[0].module == "mlp.down"
    assert sum(row.of_weights for row in rows) == pytest.approx(1)
    assert sum(row.of_top or 0 for row in rows) == pytest.approx(1)
    assert rows[0].of_change == pytest.approx(sum(m.share or 0 for m in drift.modules if m.module == "mlp.down"))


def test_a_deep_model_is_shown_by_layers_evenly_from_first_to_last() -> None:
    layers = shown_layers(drift_of(modules=made.modules(200)).modules)
    assert len(layers) == MOST_LAYERS + 1
    assert (layers[0], layers[-2], layers[-1]) == (0, 199, None)


def test_the_verdict_names_the_gain_the_controls_and_what_follows() -> None:
    lines = ladder_lines(ladder_of(**made.ladder()))
    assert lines[0].endswith("that is +4.1 points (+2.6 to +5.6) against the tuned model: a gain beyond noise.")
    assert "Against the control “random” at its own best (40 %): +3.0 points (+1.5 to +4.5), clearly ahead." in lines
    assert lines[-1].startswith("It is not clearly ahead of interpolation: undoing a part of the change helps, but")


def test_a_choice_ahead_of_all_controls_is_said_to_matter() -> None:
    controls = [made.control("random", 40, 3.0), made.control("interpolation", 40, 2.0)]
    assert ladder_lines(ladder_of(**made.ladder(controls=controls)))[-1].startswith("It is ahead of every control")


def test_no_gain_is_called_no_gain_and_a_control_that_gains_is_named() -> None:
    ladder = ladder_of(**made.ladder(best=made.best(gain=0.5), controls=[made.control("absolute", 20, -3.0)]))
    lines = ladder_lines(ladder)
    assert "no gain beyond noise: the interval holds zero" in lines[0]
    assert any("−3.0 points (−4.5 to −1.5), clearly behind." in line for line in lines)
    assert lines[-1].startswith("The control “absolute” at 20 % does gain against the tuned model: +7.1 points")
    (line,) = in_short(results(ladders=[ladder])).sentences
    assert "brings no in-domain gain beyond noise to the model trained on" in line


def test_a_loss_is_called_a_loss_and_the_tuned_model_itself_may_be_best() -> None:
    assert ladder_lines(ladder_of(**made.ladder(best=made.best(gain=-4.0))))[0].endswith("a loss.")
    lines = ladder_lines(ladder_of(**made.ladder(best=made.best(percent=0, gain=0.0, half=0.0), controls=[])))
    assert lines[0].startswith("On the half of the facts that chooses, no rung is better")


def test_where_nothing_is_set_back_the_tuned_model_is_not_compared_with_itself() -> None:
    controls = [made.control("random", 0, 0.0), made.control("bottom", 0, 0.0), made.control("absolute", 20, -3.0)]
    nothing = made.ladder(best=made.best(percent=0, gain=0.0, half=0.0), controls=controls)
    lines = ladder_lines(ladder_of(**nothing))
    assert lines[1] == "Nor is a rung of the controls “random”, “bottom”."
    assert lines[2].startswith("Against the control “absolute” at its own best (20 %): −3.0 points")
    assert not any("+0.0" in line or "Out-of-domain" in line for line in lines)
    assert "The repaired row" not in render(results(ladders=[nothing]))
    assert "The repaired row" in render(results(ladders=[made.ladder()]))


def test_without_controls_no_lead_is_claimed_and_without_a_judgement_no_interval() -> None:
    (line,) = in_short(results(ladders=[made.ladder(controls=[])])).sentences
    assert line.endswith("+4.1 points (+2.6 to +5.6).")
    unjudged = {**made.best(), "gain": None}
    assert ladder_lines(ladder_of(**made.ladder(best=unjudged)))[0].endswith("against the tuned model: not measured.")


def test_a_ladder_without_a_choice_says_why() -> None:
    note = "too few in-domain test facts to choose on one half and judge on the other"
    ladder = ladder_of(**made.ladder(best=None, controls=[], note=note))
    assert ladder_lines(ladder) == [note]
    assert in_short(results(ladders=[ladder])).sentences == []
    assert "chosen:" not in render(results(ladders=[ladder]))


@pytest.mark.parametrize(
    ("last", "length", "words"),
    [
        (1.5, 61.0, "the form of the answer goes"),
        (1.5, 8.0, "the form of the answer stays"),
        (46.0, 61.0, "accuracy does not clearly fall"),
        (1.5, None, None),
    ],
)
def test_lost_form_is_told_from_lost_knowledge(last: float, length: float | None, words: str | None) -> None:
    rungs = [made.rung("tuned", 0, 45.0), made.rung("relative", 60, last, answer_length=length)]
    line = length_line(ladder_of(**made.ladder(rungs=rungs)))
    assert (line is None) if words is None else (line is not None and words in line)


def test_micro_accuracy_is_shown_when_the_facts_have_no_levels() -> None:
    rungs = [
        {**made.rung(order, percent, 40.0), "macro": None, "by_level": [None] * 5}
        for order, percent in (("tuned", 0.0), ("relative", 20.0))
    ]
    html = render(results(ladders=[made.ladder(mean="micro", rungs=rungs, best=None, controls=[])]))
    assert html.count("<svg") == 1
    assert "accuracy is micro" in html
    assert "38.0 <span" in html


def test_rungs_without_any_score_leave_the_chart_out() -> None:
    html = render(results(ladders=[made.ladder(rungs=[made.rung("relative", 20, None)])]))
    assert "<svg" not in html
    assert "All 1 rungs" in html


def test_long_lists_are_cut_and_say_so() -> None:
    ladders = [made.ladder(seed=seed, rungs=[], examples=[]) for seed in range(9)]
    html = render(results(ladders=ladders, notes=["n"] * 12))
    assert "3 more ladders are in results.json." in html
    assert "2 more notes are in results.json." in html


def test_the_chapter_is_read_back_as_written(tmp_path) -> None:
    report = results(**made.drift())
    write_report(report, tmp_path)
    assert read_results(tmp_path) == report
    assert "drift" in (tmp_path / "results.json").read_text()


def test_a_ladder_steps_metrics_are_taken_as_they_are() -> None:
    row = {"order": "relative", "percent": 20.0, "restored": 5, "kept": 0.4, "alpha": None, "loss": 2.0, "known": 50.0}
    row |= dict.fromkeys(("macro", "macro_low", "macro_high", "ood", "ood_low", "ood_high"), 40.0)
    row |= {f"level_{level}": 10.0 * level for level in range(5)} | {"answer_length": 9.0}
    metrics = {"rungs": [row], "best": made.best(), "controls": [made.control("random", 5, 1.0)], "beats_tuned": True}
    metrics |= {"mean": "macro", "note": "a note"}
    ladder = ladder_of(**metrics, levels="2", size=60, seed=0)
    assert ladder.rungs[0].by_level == (0.0, 10.0, 20.0, 30.0, 40.0)
    assert ladder.rungs[0].macro is not None and ladder.rungs[0].macro.value == 0.4
    assert ladder.controls[0].ahead is not None and ladder.controls[0].ahead.value == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": [{"levels": "2", "size": 60, "seed": 0, "unchanged": 1.5}]}, r"cells\.0\.unchanged"),
        ({"cells": [{"levels": "7", "size": 60, "seed": 0}]}, r"cells\.0\.levels"),
        (
            {"cells": [{"levels": "2", "size": 60, "seed": 0, "kl_paper": float("inf"), "kl_paper_se": 1.0}]},
            r"cells\.0\.kl_paper",
        ),
        ({"modules": [{"module": "x", "weights": -1, "share": 0.1}]}, r"modules\.0\.weights"),
        ({"ladders": [made.ladder(rungs=[{"order": "relative", "percent": 120}])]}, r"rungs\.0\.percent"),
        (
            {"ladders": [made.ladder(rungs=[{"order": "tuned", "percent": 0, "macro": 5.0}])]},
            "must come with its inter",
        ),
        ({"cells": [made.drift_cell("2", 60, 1.0)] * 2}, r"\(2, 60, 0\) occurs 2 times"),
        ({"colour": "red"}, "colour is not a known key"),
    ],
)
def test_bad_values_are_refused_with_their_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        results(**made.drift(**change))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_whatever_was_not_measured_words_and_tables_are_still_made(seed: int) -> None:
    draw = Random(seed)
    drift = made.drift()
    groups = [*drift["cells"], *drift["modules"], *drift["ladders"][0]["rungs"], *drift["ladders"][0]["controls"]]
    groups.append(drift["ladders"][0]["best"])
    kept = {"levels", "size", "seed", "module", "weights", "order", "percent", "by_level", "share_top", "beats_tuned"}
    for values in groups:
        for name in [
            name for name in values if name not in kept and not name.endswith(("_low", "_high", "_n", "_facts"))
        ]:
            if draw.random() < 0.3:
                values[name] = 0 if name == "restored_20" else None
    report = results(**drift)
    assert len(drift_claims(report)) == 6
    drifted = report.of(Drift)
    assert drifted is not None
    for ladder in drifted.ladders:
        assert ladder_lines(ladder)
        assert length_line(ladder) is None or "characters long" in str(length_line(ladder))
    found = CHAPTER.context(report)
    assert found is not None
    assert not re.search(r"\b(nan|None)\b", fill(CHAPTER.template, r=report, number={"drift": 2}, **vars(found)))
