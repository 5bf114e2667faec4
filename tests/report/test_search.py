"""The chapter on a search: what it shows, what it leaves out, and hostile texts."""

import re

import pytest
from matplotlib.figure import Figure

from helpers_search_report import search_results, search_values
from recollect.errors import InputError
from recollect.report import Results, make_results, render
from recollect.report.chapters.search import charts as chart_search
from recollect.report.chapters.search.charts import _label, early_final, early_final_chart, map_axes
from recollect.report.chapters.search.record import Search
from recollect.report.chapters.search.view import CHAPTER, cards, sentences
from recollect.report.page.chapter import InShort
from recollect.report.page.results import StepRecord
from recollect.report.page.svg import panel


def searched(results: Results) -> Search:
    found = results.of(Search)
    assert found is not None
    return found


def test_the_page_shows_every_trial_and_the_honest_ending() -> None:
    results = search_results()
    page = render(results)
    for text in ("The finalists on unseen questions", "How far the early judgement told", "0.81", "4 are among the 5"):
        assert text in page
    assert page.count("the loss exploded: 2.0 at the start") == 3
    assert len(re.findall(r">paused<", page)) >= 3
    assert "best on validation" in page
    search = searched(results)
    assert [card.value for card in cards(search)][1:] == ["+3.1", "48", "0.81"]
    [gain] = sentences(search)
    assert "+3.1 points (95 % interval over the questions 0.4 to 5.8)" in gain and "trained once" in gain
    assert not re.search(r"clear (gain|loss|difference)", page), "one training per setting gives no verdict"
    assert (
        "0.40 and 0.95 (95 % interval" in page and "rank correlation 0.77" in page and "by chance it were 2.5" in page
    )


def test_only_finished_trials_are_pairs() -> None:
    search = searched(search_results())
    assert {trial.state for trial, _, _ in early_final(search)} == {"finished"}
    assert len(early_final(search)) == 6
    assert map_axes(search) == ("learning_rate", "epochs")


def test_a_search_in_which_nothing_finished_still_has_a_page() -> None:
    trials = [trial for trial in search_values()["trials"] if trial["state"] != "finished"]
    nothing = {
        "best": None,
        "baseline": None,
        "finalists": [],
        "correlation": {},
        "top_overlap": None,
        "importance": [],
    }
    results = search_results(trials=trials, best_yaml="", cost_fraction=None, pairs=0, **nothing)
    page = render(results)
    assert "How far the early judgement told" not in page
    assert sentences(searched(results)) == ["No trial was finished, so there are no best settings."]


def test_the_baseline_itself_may_be_best() -> None:
    search = searched(search_results(best=0))
    assert "No settings did better" in sentences(search)[0]
    assert not any("Gain" in card.what for card in cards(search))


def test_the_untouched_base_competes() -> None:
    found = sentences(searched(search_results(base_validation=99.0)))
    assert "No training did better than the untouched base on validation: it has 99.0" in found[0]


def test_a_choice_of_levels_that_no_random_draw_stood_against_is_said() -> None:
    values = search_values()
    for trial in values["trials"]:
        trial["settings"]["level"] = ["mixed", "2,3"][trial["number"] % 2]
    best = str(next(t for t in values["trials"] if t["number"] == values["best"])["settings"]["level"])
    text = f"whether level {best} beats a random draw was not measured"
    assert text in sentences(searched(search_results(trials=values["trials"])))[-1]
    values["trials"][1]["settings"]["level"] = "random"
    assert text not in " ".join(sentences(searched(search_results(trials=values["trials"]))))


def test_no_bar_of_a_forecast_leaves_the_scale() -> None:
    values = search_values()
    paused = next(trial for trial in values["trials"] if trial["state"] == "paused")
    paused["forecast"] = {"value": 104.0, "low": -31.0, "high": 160.0}
    figures = []
    search = searched(search_results(trials=values["trials"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chart_search, "draw", lambda *_: figures.append(_[3]))
        early_final_chart(search)
    figure = Figure()
    figures[0](figure)
    drawn = [y for line in figure.axes[0].lines for y in line.get_ydata()]
    assert min(drawn) >= 0 and max(drawn) <= 100


def test_a_correlation_of_an_older_search_is_not_taken_for_measured() -> None:
    results = search_results(early_trials=0, rank_correlation=None)
    assert not any("Correlation" in card.what for card in cards(searched(results)))
    page = render(results)
    assert "held a prior; it is not shown" in page and "0.81" not in page


def test_one_setting_alone_has_no_map() -> None:
    trials = search_values()["trials"]
    for trial in trials:
        trial["settings"] = {"learning_rate": trial["settings"]["learning_rate"]}
    results = search_results(trials=trials, importance=[])
    assert map_axes(searched(results)) is None
    assert "Where in the space" not in render(results)


def test_hostile_texts_are_shown_and_never_run() -> None:
    values = search_values()
    bad = "<script>alert(1)</script>\u202e$x^{2}$"
    for trial in values["trials"]:
        trial["settings"][bad] = bad
        trial["reason"] = bad
    page = render(
        search_results(trials=values["trials"], warnings=[bad], best_yaml=bad, importance=[{"name": bad, "share": 1}])
    )
    assert "<script" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"best": 99}, "trial 99"),
        ({"correlation": {"value": 0.5}}, r"correlation\.low"),
        ({"rungs": [0.0, 1.0]}, "rungs"),
        ({"trials": []}, "trials"),
    ],
)
def test_bad_results_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        search_results(**change)


def test_no_search_no_chapter() -> None:
    empty = make_results({"title": "x", "created": "2026-01-01", "version": "0"})
    assert CHAPTER.context(empty) is None
    assert CHAPTER.in_short(empty) == InShort()


def test_scores_of_trials_at_one_place_stand_beside_each_other() -> None:
    axes = panel(Figure(), 10, 10, 200, 200)
    axes.scatter([1, 1, 1, 5], [2, 2, 2, 2])
    _label(axes, [(1, 2, 40.0), (1, 2, 41.0), (1, 2, 42.0), (5, 2, 43.0)])
    sides = [text.xyann for text in axes.texts]
    assert len(set(sides[:3])) == 3 and sides[3] == sides[0]


def test_many_steps_are_folded_away() -> None:
    results = search_results()
    few = [StepRecord(step="train", path="trials/000/train", fingerprint="f" * 32)]
    pages = [render(results.model_copy(update={"steps": few * n})) for n in (2, 40)]
    assert ["steps and their fingerprints" in page for page in pages] == [False, True]
    assert pages[1].count("trials/000/train") == 40
