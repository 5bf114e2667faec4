"""The two matchers give known answers, and `settled` never promises what a continuation can break."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recollect.match import MATCHERS, contains, settled, word


@pytest.mark.parametrize(
    ("text", "accepted", "by_contains", "by_word"),
    [
        ("It is Paris.", ["Paris"], True, True),
        ("Parisian cafés", ["Paris"], True, False),
        ("He met Rockefeller", ["rock"], False, False),
        ("He met rockefeller", ["rock"], True, False),
        ("I said paris", ["Paris"], False, True),
        ("PARIS", ["paris"], False, True),
        ("Straße", ["STRASSE"], False, True),
        ("Ｐａｒｉｓ, of course", ["Paris"], False, True),  # full width
        ("in the U.S. of A.", ["U.S."], True, True),
        ("in the U.S.A.", ["U.S."], True, False),
        ("U.S", ["U.S."], False, False),
        ("UxS.", ["U.S."], False, False),  # the dot is a dot
        ("written in C++", ["C++"], True, True),
        ("written in C++, then Rust", ["C++"], True, True),
        ("written in C++17", ["C++"], True, False),
        ("written in CCC", ["C++"], False, False),
        ("written in C", ["C++"], False, False),
        ("Beyoncé Knowles", ["Beyoncé"], True, True),
        ("Beyonce\u0301 Knowles", ["Beyonc\u00e9"], False, True),  # decomposed
        ("Beyonce Knowles", ["Beyoncé"], False, False),  # an accent is a letter's own
        ("New  \n York", ["New York"], False, True),
        ("New\u00a0York", ["New York"], False, True),  # no-break space
        ("Paris's mayor", ["Paris"], True, True),
        ("(Paris)", ["Paris"], True, True),
        ("_Paris_", ["Paris"], True, False),  # the underscore is a word character
        ("Paris-Nord", ["Paris"], True, True),
        ("1984", ["84"], True, False),
        ("in 1984", ["1984"], True, True),
        ("東京です", ["東京"], True, False),  # no blanks between words: `word` is too strict here
        ("東京、日本", ["東京"], True, True),
        ("The answer: Lyon", ["Paris", "Lyon"], True, True),
        ("neither", ["Paris", "Lyon"], False, False),
        ("anything", [], False, False),
        ("", ["Paris"], False, False),
        ("anything", [""], False, False),
        ("any thing", [" ", "\t"], False, False),
        ("Paris", ["", "Paris"], True, True),
        ("a.b", ["a*b", "[a]", "(", "a|b", "\\w", "^a", "$"], False, False),
        ("say (", ["("], True, True),
        ("it is $5 (five)", ["$5"], True, True),
        ("a|b", ["a|b"], True, True),
        (r"a \w b", [r"\w"], True, True),
    ],
)
def test_known_answers(text: str, accepted: list[str], by_contains: bool, by_word: bool) -> None:
    assert contains(text, accepted) is by_contains
    assert word(text, accepted) is by_word
    assert {name: matcher(text, accepted) for name, matcher in MATCHERS.items()} == {
        "contains": by_contains,
        "word": by_word,
    }


def test_a_shorter_form_does_not_hide_a_longer_one() -> None:
    assert word("New York-based", ["New York-based", "New"])
    assert word("New Yorker", ["New", "New York"])
    assert not word("Newer Yorker", ["New", "New York"])


FORMS = st.text("aAsSißéẞǰ1_ .+*()\u0301\u0323क\u093f東U", min_size=1, max_size=4)
TEXTS = st.text() | st.lists(FORMS).map("".join)


@given(TEXTS, st.lists(FORMS))
def test_order_and_repetition_of_the_forms_change_nothing(text: str, forms: list[str]) -> None:
    for matcher in MATCHERS.values():
        assert matcher(text, forms) == matcher(text, forms[::-1] + forms)


@given(st.lists(FORMS, min_size=1))
def test_the_word_matcher_finds_every_visible_form_standing_alone(forms: list[str]) -> None:
    for form in forms:
        assert word(form, forms) is (form.strip() != "")


@pytest.mark.parametrize(
    ("text", "is_settled"),
    [
        ("Paris", False),  # may become Parisian
        ("Paris ", True),
        ("Paris\n", True),
        ("It is Paris, the", True),
        ("paris, the", False),  # `contains` says no as yet
        ("paris, Paris", True),  # each matcher has its own proof
        ("Parisian", False),
        ("Parisian, Paris", False),
        ("Paris\u0301", False),
        ("Paris\u0331", False),  # a lower mark: a later accent joins the s across it
        ("Paris\ufffd", False),  # half a letter, as tokenizers decode it
        ("", False),
    ],
)
def test_settled_is_true_only_when_nothing_can_undo_the_answer(text: str, is_settled: bool) -> None:
    assert settled(text, ["Paris"]) is is_settled


def test_a_settled_answer_needs_the_exclusion_of_marks() -> None:
    text, accent = "Paris\u0331", "\u0301"
    assert word(text, ["Paris"])
    assert not word(text + accent, ["Paris"])  # the reason why settled said no


SUFFIXES = (
    st.text()
    | st.text("\u0301\u0323\u0331\u0338\u0307\u3099\u1161\u11a8\u09be\ufe0f\u200d aß1_.=", min_size=1)
    | st.characters(min_codepoint=0x300, max_codepoint=0x36F)
)


@settings(max_examples=600, deadline=None)
@given(
    st.text(max_size=5) | FORMS,
    FORMS,
    st.text(max_size=3) | st.sampled_from([" ", ".", "=", "<", "´", "\u00a8", "…"]),
    SUFFIXES,
)
@example("", "Paris", "=", "\u0338")
@example("", "i", "\u0307", "\u0323")
@example("", "İ", " ", "\u0323")
@example("", "Paris", "\u0331", "\u0301")
@example("", "Paris", "´", "\u0323")
def test_no_continuation_undoes_a_settled_answer(before: str, form: str, after: str, suffix: str) -> None:
    text = before + form + after
    if settled(text, [form]):
        assert contains(text + suffix, [form])
        assert word(text + suffix, [form])


def test_no_single_character_after_a_settled_answer_undoes_it() -> None:
    checked = 0
    for end in map(chr, range(0x20, 0x7F)):
        if settled("Paris" + end, ["Paris"]):
            checked += 1
            for mark in [
                *map(chr, range(0x300, 0x370)),
                "\u20d0",
                "\u3099",
                "\u0f71",
                "\u1161",
                "a",
                "_",
                "\ufe0f",
            ]:
                assert word("Paris" + end + mark, ["Paris"])
    assert checked == 32  # blank and punctuation, less the underscore
