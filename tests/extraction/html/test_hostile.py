"""Hostile pages: each ends in a prompt with a note, or in a clear error, within the time cap."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.errors import InputError
from recollect.extraction.html import Limits, page_prompt

CAP = 3.0  # processor seconds: the page's two, and the prompt's
LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{'&' + chr(97 + n) + ';' * 1}{('&' + chr(97 + n) + ';') * 9}'>" for n in range(12)
)
HOSTILE = {
    "a million levels": "<div>" * 1_000_000 + "deep",
    "a million levels, closed": "<div>" * 800_000 + "x" + "</div>" * 800_000,
    "mixed levels": "<div><span><b>" * 200_000,
    "tables in tables": "<table><tr><td>" * 200_000 + "x",
    "copied formatting": "".join(f"<b x={n}>" for n in range(9_000)) + "<p>x" * 9_000,
    "stray closing tags": "<div>" * 200 + "</p>" * 500_000,
    "a gigantic attribute": f'<p title="{"x" * 8_000_000}" data-price="{"9" * 1_000_000}">x</p>',
    "200,000 attributes": "<p " + " ".join(f"a{n}=1" for n in range(200_000)) + ">x</p>",
    "many elements of 900 attributes": ("<p " + " ".join(f"a{n}=1" for n in range(900)) + ">x</p>") * 1_200,
    "a million product attributes": "<p data-price=1 data-sku=2>x" * 300_000,
    "a million siblings": "<p>x" * 1_000_000,
    "a million words": "<p>" + "word " * 1_500_000,
    "one long word": "<p>" + "x" * 9_000_000,
    "open brackets": "<p>x" + "<" * 5_000_000,
    "open quotes": '<p>x<a b="' * 700_000,
    "open comments": "<p>x" + "<!--" * 1_000_000,
    "open scripts": "<p>x" + "<script>" * 900_000,
    "ampersands": "<p>x" + "&" * 5_000_000,
    "entities": LAUGHS + "]><p>x&b;&m;" + "&amp;" * 100_000,
    "outside files": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><p>x&e;<xi:include href="/etc/passwd"/>',
    "NUL bytes": "<p>x\0y\0</p>",
    "deep JSON": f'<p>x<script type="application/ld+json">{"[" * 400_000}</script>',
    "huge JSON": '<p>x<script type="application/ld+json">'
    + json.dumps([{"sku": str(n), "price": n} for n in range(30_000)])
    + "</script>",
    "JSON with a huge number": f'<p>x<script type="application/ld+json">{{"sku": {"9" * 100_000}}}</script>',
    "a row of many cells": "<table><tr>" + "<td>x" * 300_000,
    "many options": "<p>x<select>" + "<option>x" * 300_000,
    "many definitions": "<dl>" + "<dt>x<dd>y" * 100_000,
    "lines of labels": "<p>sku price $1 brand in stock</p>" * 100_000,
    "almost prices": "<p>x" + "<p>" + "$ " * 2_000_000 + "1 " * 1_000_000,
}


@contextmanager
def clear_refusal() -> Iterator[None]:
    """What is inside may be refused, if the error speaks of the page."""
    try:
        yield
    except InputError as error:
        if not str(error).startswith("the page "):
            raise


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_ends_in_a_clear_result_in_time(name):
    html = HOSTILE[name].encode()
    started = time.thread_time()
    with clear_refusal():
        prompt = page_prompt(html)
        assert prompt.tokens <= 4096
        assert prompt.text and "root:" not in prompt.text and "hahaha" not in prompt.text
    assert time.thread_time() - started < CAP


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("a million siblings", "lines"),
        ("a row of many cells", "lines"),
        ("200,000 attributes", "attributes"),
    ],
)
def test_what_was_cut_is_noted(name, note):
    assert note in page_prompt(HOSTILE[name]).notes


def test_text_below_the_deepest_level_is_lost_and_noted():
    assert page_prompt("<p>top</p>" + "<div>" * 1_000 + "deep").notes == ("depth",)
    with pytest.raises(InputError, match=r"no visible text .* cut \(depth\)"):
        page_prompt("<div>" * 1_000 + "deep")


def test_elements_beyond_the_limit_are_left_out_and_noted():
    prompt = page_prompt("<p>x" * 100, limits=Limits(nodes=52))
    assert prompt.notes == ("nodes",) and prompt.text.count("x") == 50  # html, body and 50 paragraphs


def test_code_that_looks_like_an_element_of_many_attributes_is_left_alone():
    script = "<script>if (a<b) x = '" + " y" * 5_000 + "'</script>"
    prompt = page_prompt(f"{script}<p>after</p>")
    assert prompt.text == "after" and prompt.notes == ()


@pytest.mark.parametrize(
    ("html", "message"),
    [
        (b"", "is empty"),
        (b" \n\0\0 ", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50, "is no text"),
        (b"%PDF-1.4\n" + bytes(range(32)) * 500, "is no text"),
        (b"<!-- nothing -->", "no visible text"),
        (b"<script>x</script><style>y</style>", "no visible text"),
        (b"<p>" + b"x" * 10_000_000, "more than the limit of 10,000,000"),
    ],
)
def test_a_page_that_is_none_is_refused(html, message):
    with pytest.raises(InputError, match=message):
        page_prompt(html)


def test_a_page_out_of_time_is_refused():
    with pytest.raises(InputError, match="took longer"):
        page_prompt("<p>x" * 100_000, limits=Limits(seconds=1e-6))


@pytest.mark.parametrize(
    "data",
    [
        "<p>12 € für Käse".encode(),
        "\ufeff<p>12 € für Käse".encode(),
        "<p>12 € für Käse".encode("utf-16"),
        "<p>12 € für Käse".encode("utf-16-le"),
        '<meta charset="utf-8"><p>12 € für Käse'.encode(),
        '<meta charset="windows-1252"><p>12 € für Käse'.encode("cp1252"),
        '<meta http-equiv="content-type" content="text/html; charset=iso-8859-15"><p>12 € für Käse'.encode(
            "iso-8859-15"
        ),
        "<p>12 € für Käse".encode("cp1252"),
    ],
)
def test_character_sets(data):
    filler = b"" if data[:2] == b"\xff\xfe" or b"\0" in data else b"<p>" + b"plain " * 3
    text = page_prompt(data + filler).text
    assert "12 € für Käse" in text


def test_a_wrong_or_unknown_character_set_and_broken_bytes_lose_only_themselves():
    assert "Mug" in page_prompt(b'<meta charset="no-such"><p>Mug \xff\xfe\x80</p>').text
    assert "Mug" in page_prompt(b'<meta charset="utf-8"><p>Mug \xc3\x28 \xe2\x82</p><p>end').text
    assert "end" in page_prompt(b'<meta charset="utf-8"><p>Mug \xc3\x28 \xe2\x82</p><p>end').text


@settings(deadline=None)
@given(st.binary(max_size=3_000))
def test_any_bytes_end_in_a_prompt_or_a_clear_error(data):
    with clear_refusal():
        prompt = page_prompt(data, 50)
        assert prompt.tokens <= 50 and "\0" not in prompt.text


pieces = st.sampled_from(
    [
        "<div>",
        "</div>",
        "<p",
        "\x1f",
        "a=",
        '"',
        "'",
        ">",
        "<",
        "&amp",
        ";",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<table>",
        "<tr>",
        "<td>",
        "<dt>",
        "<dd>",
        "x",
        "<select>",
        "<option>",
        "<h1>\n",
        "&#31;",
        "\x85",
        "\ufffd",
        "</h1>",
        "<a>",
        "</a>",
        "<title>",
        "<meta\xa0",
        "content=5",
        "itemprop=price",
        "<b>",
        "</b>",
        "]]>",
        "<![CDATA[",
        "<textarea>",
        "<svg>",
        "\n",
        " ",
        "\x00",
        "\u2028",
        "<meta content=5 itemprop=price>",
    ]
)


@settings(deadline=None)
@given(st.lists(pieces, max_size=60))
def test_any_soup_of_tags_gives_single_lines(soup):
    try:
        prompt = page_prompt("".join(soup), 10_000)
    except InputError:
        return
    assert all(line.strip() == line and line for line in prompt.text.split("\n"))
    assert prompt == page_prompt("".join(soup), 10_000)
