"""A chapter is one folder and one line; what the page says of paths, and of a choice that is below its rivals."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import helpers_verdict as made
from recollect.report import chapters, make_results, read_results, render, verdict, write_report
from recollect.report.chapters.elicits.view import cards

RECORD = """
from recollect.report.page.record import Record

class Toy(Record):
    text: str
"""
VIEW = """
from dataclasses import dataclass
from recollect.report.chapters.toy.record import Toy
from recollect.report.page.chapter import Chapter

@dataclass(frozen=True)
class View:
    text: str

def context(results):
    found = results.of(Toy)
    return View(found.text) if found else None

CHAPTER = Chapter(__name__, "A toy", context, record=Toy)
"""


def test_a_folder_and_one_line_are_a_chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "chapters" / "toy"
    folder.mkdir(parents=True)
    files = {"__init__.py": "", "record.py": RECORD, "view.py": VIEW, "body.html.j2": "<p>{{ text }}</p>"}
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(chapters, "__path__", [*chapters.__path__, str(folder.parent)])
    monkeypatch.setattr(chapters, "CHAPTERS", ["toy", *chapters.CHAPTERS])
    frame = {"title": "x", "created": "2026-01-01", "version": "0"}
    results = make_results({**frame, "chapters": {"toy": {"text": "<b>hello</b>"}}})
    page = write_report(results, tmp_path / "report")
    html = page.read_text(encoding="utf-8")
    assert '<a href="#toy">2 A toy</a>' in html and "<p>&lt;b&gt;hello&lt;/b&gt;</p>" in html
    assert json.loads((page.parent / "results.json").read_text())["chapters"]["toy"] == {"text": "<b>hello</b>"}
    assert read_results(page.parent) == results


def test_a_models_path_is_not_shown_but_its_name(invented: SimpleNamespace) -> None:
    path = "/" + "home/somebody/a very long way/to/" + "deeper/" * 20 + "my-model"
    model = {"name": path, "fingerprint": "ab" * 16, "parameters": 10}
    html = render(make_results(invented.minimal(model=model)))
    assert "somebody" not in html and "<b>my-model</b>" in html
    hub = render(make_results(invented.minimal(model={**model, "name": "meta-llama/Meta-Llama-3-8B"})))
    assert "meta-llama/Meta-Llama-3-8B" in hub


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"base": made.gap(None, -4.0, -8.0, -1.0)}, "the untouched base"),
        ({"random": made.gap("random", -4.0, -8.0, -1.0)}, "the random draw"),
    ],
)
def test_what_is_below_base_or_random_is_not_called_best(invented: SimpleNamespace, changes: dict, name: str) -> None:
    results = make_results(invented.minimal(best=made.best(**changes)))
    assert f"is below {name} on the others" in verdict(results)[0]
    assert not any("best choice" in card.what.casefold() for card in cards(results))
    assert "best training" not in render(results)


@pytest.mark.parametrize(
    ("method", "never"),
    [("sampled", "0: R = 0."), ("hybrid", "0: R under half of one in 210, as good as never right.")],
)
def test_level_zero_is_told_as_the_probe_made_it(invented: SimpleNamespace, method: str, never: str) -> None:
    probe = {**invented.minimal()["probe"], "method": method}
    assert never in render(make_results(invented.minimal(probe=probe)))


def test_neither_a_control_nor_a_base_that_is_not_there_is_told_of(invented: SimpleNamespace) -> None:
    with_both = render(make_results(invented.minimal(cells=[invented.cell("random", 60, 24.0)])))
    assert "is the control" in with_both and "The dotted line is the base" in with_both
    alone = render(make_results(invented.minimal(base=None)))
    assert "is the control" not in alone and "The dotted line" not in alone
