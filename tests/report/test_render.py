"""The page is one safe, self-contained, repeatable file."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from types import SimpleNamespace

from recollect.report import Results, make_results, render
from recollect.report.chapters import CHAPTERS, chapters
from recollect.report.chapters.elicits.view import cards
from recollect.report.chapters.knows import view as knows
from recollect.report.page.render import environment, render_page
from recollect.report.page.text import flags

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
ALLOWED = {
    *(
        [
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "header",
            "div",
            "h1",
            "h2",
            "h3",
            "span",
            "b",
            "small",
            "nav",
            "a",
            "main",
            "section",
            "p",
            "ul",
            "li",
            "i",
        ]
    ),
    *(
        [
            "figure",
            "figcaption",
            "details",
            "summary",
            "table",
            "thead",
            "tr",
            "th",
            "td",
            "bdi",
            "br",
            "code",
            "dl",
            "dt",
            "dd",
            "footer",
        ]
    ),
    *(["svg", "g", "path", "defs", "use", "clippath", "rect", "text"]),
}


class Page(HTMLParser):
    """Every tag with its attributes, and the text outside of style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def test_the_content_policy_refuses_scripts_and_network_and_stands_before_any_content(html: str) -> None:
    tags = Page(html).tags
    names = [name for name, _ in tags]
    (where,) = [i for i, (name, a) in enumerate(tags) if a.get("http-equiv") == "Content-Security-Policy"]
    assert tags[where][1]["content"] == POLICY
    assert where < names.index("style")
    assert where < names.index("body")


def test_the_page_has_no_script_no_event_handler_and_loads_nothing(html: str) -> None:
    for name, attributes in Page(html).tags:
        assert name in ALLOWED
        for key, value in attributes.items():
            assert not key.startswith("on")
            assert key not in ("src", "srcset", "action", "data", "formaction", "poster", "background")
            if key in ("href", "xlink:href"):
                assert (value or "").startswith("#")
            assert not re.search(r"url\((?!#)", value or "") or key == "title"
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_is_far_below_five_megabytes(html: str) -> None:
    assert len(html.encode()) < 2_000_000


def test_the_style_element_ends_once_and_is_balanced(html: str) -> None:
    assert html.count("<style>") == html.count("</style>") == 1
    style = html[html.index("<style>") : html.index("</style>")]
    assert style.count("{") == style.count("}") > 50


def test_links_inside_the_page_lead_somewhere_and_ids_are_unique(html: str) -> None:
    page = Page(html)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    references = {a[k] for _, a in page.tags for k in ("href", "xlink:href") if k in a}
    references |= {f"#{name}" for name in re.findall(r"url\(#([^)]+)\)", html)}
    assert {f"#{name}" for name in ids if name in {chapter.id for chapter in chapters()}} <= references
    assert references <= {f"#{name}" for name in ids}


def test_hostile_text_is_shown_and_never_becomes_markup(invented: SimpleNamespace) -> None:
    html = render(make_results(invented.nasty()))
    assert "<script" not in html.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;/style&gt;" in html
    assert "{{ 7*7 }}" in html
    assert "🦉" in html
    text = Page(html).text
    assert "<script>alert(1)</script></style><b>⟨U+202E⟩gnp.exe⟨U+202C⟩ & \"quotes\" 'x'" in text


def test_a_flag_is_not_broken_at_its_hyphens_and_foreign_text_stays_text() -> None:
    assert flags("raise --few-shot") == 'raise <span class="name">--few-shot</span>'
    assert flags("a--b, 1 -- 2, <i>") == "a--b, 1 -- 2, &lt;i&gt;"


def test_no_direction_mark_or_control_character_reaches_the_page(html: str) -> None:
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\x00-\x08\x0b-\x1f\x7f]", html)


def test_equal_results_give_equal_bytes_in_another_process(tmp_path, invented: SimpleNamespace, study) -> None:
    from recollect.report import write_report

    write_report(study, tmp_path)
    code = (
        "import sys, pathlib; from recollect.report import read_results, render;"
        "sys.stdout.buffer.write(render(read_results(pathlib.Path(sys.argv[1]))).encode())"
    )
    again = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True).stdout
    assert again == (tmp_path / "report.html").read_bytes()


def test_a_users_matplotlib_style_changes_nothing(study: Results, study_html: str) -> None:
    import matplotlib

    before = study_html
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert render(study) == before
        assert matplotlib.rcParams["font.size"] == 30


def test_a_table_stands_beside_every_chart(study_html: str) -> None:
    html = study_html
    figures = re.findall(r"<figure>.*?</figure>", html, flags=re.S)
    assert len(figures) == html.count("<svg") == 6
    assert all("<svg" in figure and "<table>" in figure for figure in figures)


def test_the_smallest_study_renders_without_the_parts_it_lacks(invented: SimpleNamespace) -> None:
    html = render(make_results(invented.minimal()))
    text = Page(html).text
    assert "60 training examples" in html
    assert "no best choice to name" in text
    assert "No answers were kept" in text
    assert "How much the wording matters" not in text
    assert html.count("<svg") == 3


def test_a_study_without_any_model_trained_says_so(invented: SimpleNamespace) -> None:
    text = Page(render(make_results(invented.minimal(cells=[], levels=[])))).text
    assert "No model was trained in this study" in text
    assert "there is no curve to draw" in text


def test_out_of_domain_stands_in_the_page_only_when_measured(invented: SimpleNamespace, study_html: str) -> None:
    assert study_html.count("Facts of relations that were never trained on") == 1
    assert "Facts of relations that were never" not in render(make_results(invented.minimal()))


def test_the_big_numbers_are_those_of_the_results(invented: SimpleNamespace) -> None:
    values = invented.minimal(
        levels=[{"part": "test", "level": 0, "n": 40}, {"part": "test", "level": 4, "n": 60}],
        cells=[invented.cell("2", 60, 30.0), invented.cell("random", 60, 24.0)],
        best=invented.best(),
    )
    results = make_results(values)
    (known,), (before, after, gain) = knows.in_short(results).cards, cards(results)
    assert known.value == "60.0"
    assert known.interval == "49.7 to 69.7"  # Clopper and Pearson, 60 of 100: 0.497 to 0.697
    assert (before.value, before.interval) == ("10.0", "8.8 to 11.2")
    assert (after.value, after.interval) == ("30.0", "25.0 to 35.0")
    assert after.note == "60 examples of level 2; macro over 51 facts"
    assert (gain.value, gain.interval, gain.note) == ("+6.0", "clear gain", "30.0 % against 24.0 %")


def test_many_sizes_are_drawn_as_nine_maps_and_the_table_holds_all(invented: SimpleNamespace) -> None:
    cells = [invented.cell("2", 10 * (i + 1), 30.0) for i in range(14)]
    html = render(make_results(invented.minimal(cells=cells)))
    assert len(re.findall(r"training examples</text>", html)) == 9
    assert "Shown are 9 sizes" in html
    assert all(f'<td class="n">{10 * (i + 1)}</td><td class="name">level 2' in html for i in range(14))


def test_a_report_without_any_chapter_of_measurements_renders() -> None:
    html = render(
        make_results(
            {"title": "Nothing measured", "created": "2025-01-01", "version": "0", "notes": ["A note to read."]}
        )
    )
    page = Page(html)
    assert [a["id"] for name, a in page.tags if name == "section"] == ["headline", "method"]
    assert "A note to read." in page.text
    assert "2 Settings and method" in page.text


def test_chapters_without_data_are_left_out_and_the_numbers_close_up(invented: SimpleNamespace) -> None:
    values = invented.full()
    for name in ("probe", "levels", "levels_by_relation", "template_rates"):
        del values[name]
    html = render(make_results(values))
    headings = re.findall(r"<h2><span>(\d+)</span>(.*?)</h2>", html)
    assert headings == [
        ("1", "In short"),
        ("2", "Which examples elicit it"),
        ("3", "How many examples"),
        ("4", "Answers to read"),
        ("5", "Settings and method"),
    ]
    assert "the scores of chapter 2 are over all facts" in html


def test_every_chapter_has_its_own_id_and_template() -> None:
    found = chapters()
    assert [chapter.id for chapter in found] == CHAPTERS
    assert len(CHAPTERS) == len(set(CHAPTERS))
    assert all(environment().get_template(chapter.template) for chapter in found)


def test_a_chapter_that_cannot_be_made_is_a_line_and_the_others_stand(study):
    def broken(results):
        raise ValueError("nothing to draw with")

    first, *others = chapters()
    html = render_page(study, [replace(first, context=broken), *others])
    assert "This chapter could not be made: <bdi>ValueError: nothing to draw with</bdi>" in html
    assert 'id="elicits"' in html and 'id="sizes"' in html


def test_a_template_that_fails_is_a_line_too(study):
    @dataclass
    class Empty:
        """None of what the template wants."""

    html = render_page(study, [replace(c, context=lambda _: Empty()) if c.id == "sizes" else c for c in chapters()])
    assert html.count("This chapter could not be made") == 1
    assert 'id="elicits"' in html
