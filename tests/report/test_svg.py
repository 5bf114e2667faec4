"""The drawing helpers."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from recollect.report.page.evenly import evenly
from recollect.report.page.svg import COLOURS, dark, draw, spread
from recollect.report.page.text import clean, cut, short


def test_crowded_labels_move_apart_and_keep_order_and_mean() -> None:
    assert spread([10.0, 10.0, 10.0], 2.0) == pytest.approx([8.0, 10.0, 12.0])
    assert spread([1.0, 9.0, 5.0], 2.0) == [1.0, 9.0, 5.0]
    assert spread([5.0, 4.0, 5.0, 20.0], 3.0) == pytest.approx([14 / 3, 14 / 3 - 3, 14 / 3 + 3, 20.0])
    assert spread([], 1.0) == []


def test_a_few_of_many_are_even_and_hold_both_ends() -> None:
    assert evenly(10, 4) == [0, 3, 6, 9]
    assert evenly(3, 3) == evenly(3, 9) == [0, 1, 2]
    assert evenly(0, 3) == [] and evenly(5, 1) == [0]


def test_text_is_drawn_as_escaped_text_and_colours_as_variables() -> None:
    markup = draw(200, 100, 'a "label" <b>', lambda figure: figure.text(0, 0, "<i>$x$ & y", color=COLOURS["l3"]))
    assert "&lt;i&gt;$x$ &amp; y</text>" in markup
    assert "var(--l3)" in markup
    assert 'aria-label="a &#34;label&#34; &lt;b&gt;"' in markup
    assert "http" not in markup
    assert not re.search("date|Matplotlib", markup)


def test_every_chart_colour_has_a_value_in_the_style_sheet() -> None:
    from importlib import resources

    style = (resources.files("recollect.report") / "page/templates/style.css").read_text()
    light, rest = style.split("@media (prefers-color-scheme: dark)")
    for name in COLOURS:
        assert f"--{name}:" in light
        assert f"--{name}:" in rest.split("@media (max-width")[0]
        assert f"--{name}:" in rest.split("@media print")[1]


def test_level_colours_differ_in_lightness_alone() -> None:
    from matplotlib.colors import to_rgb

    grey = [
        sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), to_rgb(COLOURS[f"l{i}"]), strict=True)) for i in range(1, 5)
    ]
    assert all(a - b > 0.08 for a, b in pairwise(grey))


def test_dark_fills_get_white_text() -> None:
    assert dark("#000000")
    assert dark("#0b2f52")
    assert not dark("#ffffff")
    assert not dark("#f2b134")


def test_labels_and_texts_are_cut_with_a_mark() -> None:
    assert short("a long relation name", 10) == "a long re…"
    assert short("two\nlines\u202e", 40) == "two lines⟨U+202E⟩"
    assert cut("x" * 300) == "x" * 300  # a few more characters are shown rather than announced
    assert cut("x" * 1300) == "x" * 280 + "… [1,020 more characters]"


def test_clean_shows_what_cannot_be_seen_and_keeps_the_rest() -> None:
    assert clean("a\u202eb\x00\r\nשלום 🦉\t") == "a⟨U+202E⟩b⟨U+0000⟩\nשלום 🦉\t"
    assert clean("\ud800") == "⟨U+D800⟩"
