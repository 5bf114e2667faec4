"""The two matchers give known answers, and `settled` never promises what a continuation can break."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recollect.match import MATCHERS, contains, exact, settled, word
from recollect.match.text import canonical, folded


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
        ("Ｐａｒｉｓ, of course", ["Paris"], True, True),  # full width
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
        ("Beyonce\u0301 Knowles", ["Beyonc\u00e9"], True, True),  # decomposed
        ("Beyonce Knowles", ["Beyoncé"], False, False),  # an accent is a letter's own
        ("New  \n York", ["New York"], True, True),
        ("New\u00a0York", ["New York"], True, True),  # no-break space
        ("Paris's mayor", ["Paris"], True, True),
        ("(Paris)", ["Paris"], True, True),
        ("_Paris_", ["Paris"], True, False),  # the underscore is a word character
        ("Paris-Nord", ["Paris"], True, True),
        ("1984", ["84"], True, False),
        ("in 1984", ["1984"], True, True),
        ("東京です", ["東京"], True, True),  # no blanks between words
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


FORMS = st.text("aAsSißéẞǰ1_ .,-+*()\u0301\u0323क\u093f東Uｶ\uff9eー\u200d’İ", min_size=1, max_size=4)
TEXTS = st.text() | st.lists(FORMS).map("".join)


@given(TEXTS, st.lists(FORMS))
def test_order_and_repetition_of_the_forms_change_nothing(text: str, forms: list[str]) -> None:
    for matcher in MATCHERS.values():
        assert matcher(text, forms) == matcher(text, forms[::-1] + forms)


@given(st.lists(FORMS, min_size=1))
def test_the_word_matcher_finds_every_visible_form_standing_alone(forms: list[str]) -> None:
    for form in forms:
        assert word(form, forms) is (canonical(form) != "")  # an invisible form says nothing


@pytest.mark.parametrize(
    ("text", "is_settled"),
    [
        ("Paris", False),  # may become Parisian
        ("Paris ", True),
        ("Paris\n", True),
        ("It is Paris, the", True),
        ("paris, the", False),  # `contains` says no as yet
        ("paris, Paris", False),  # `contains` rests on the last letter, which an accent may yet join
        ("paris, Paris.", True),  # each matcher has its own proof
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


def test_an_answer_at_the_end_is_not_settled_because_an_accent_may_come() -> None:
    assert word("Paris", ["Paris"]) and contains("Paris", ["Paris"])
    assert not word("Paris\u0301", ["Paris"]) and not contains("Paris\u0301", ["Paris"])


SUFFIXES = (
    st.text()
    | st.text("\u200d10\u0301\u0323\u0331\u0338\u0307\u3099\u1161\u11a8\u09be\ufe0f\u200d aß1_.=", min_size=1)
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
@example("paris, ", "Paris", "", "\u0301")
@example("", "3", ". ", "5")
@example("", "3", ".", "14")
@example("", "12", " ", "000")
@example("12 20", "12", " ", "0")
@example("", "1", ",", "0")
@example("-", "4", " ", "000")
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


@pytest.mark.parametrize(
    ("text", "form", "by_contains", "by_word"),
    [
        # one Unicode form
        ("Orle\u0301ans", "Orl\u00e9ans", True, True),
        ("M\u00fchldorf", "Mu\u0308hldorf", True, True),
        ("\u212bngstr\u00f6m", "\u00c5ngstr\u00f6m", True, True),  # the sign of the unit and the letter
        ("\ufb01sh", "fish", True, True),  # ligature
        ("\uff76\uff9e", "\u30ac", True, True),  # half-width katakana with its voicing mark
        ("Henry \u2167", "Henry VIII", True, True),
        ("10\u00b2", "102", False, False),  # what NFKC would make of it
        ("m\u00b2", "m2", False, False),
        ("2\u00bd", "21\u20442", False, False),
        ("\u2460", "1", False, False),
        # what cannot be seen
        ("\u200f\u05d2\u05e8\u05d0\u05e5\u200e", "\u05d2\u05e8\u05d0\u05e5", True, True),
        ("It is \u05d2\u05e8\u05d0\u05e5.", "\u200f\u05d2\u05e8\u05d0\u05e5\u200e", True, True),
        ("co\u00adoperate", "cooperate", True, True),
        ("Graz\ufeff", "Graz", True, True),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645", True, True),
        ("\u2764\ufe0f", "\u2764", True, True),
        # typographic signs
        ("It is Coeur d\u2019Alene.", "Coeur d'Alene", True, True),
        ("O\u02bcHara", "O\u2018Hara", True, True),
        ("Hawai\u02bbi", "Hawai'i", True, True),
        ("the \u201eLinz\u201c lamp", 'the "Linz" lamp', True, True),
        ("\u00abLinz\u00bb", "Linz", True, True),
        ("Baden\u2011Baden", "Baden-Baden", True, True),
        ("Baden\u2013Baden", "Baden\u2010Baden", True, True),
        ("New\u2009York", "New\u202fYork", True, True),
        # case
        ("Cevap: istanbul", "\u0130stanbul", False, True),
        ("ISTANBUL", "\u0130stanbul", False, True),
        ("D\u0130YARBAKIR", "Diyarbak\u0131r", False, True),
        ("\u03a3\u039f\u03a6\u039f\u03a3", "\u03c3\u03bf\u03c6\u03cc\u03c2", False, False),  # the accent is its own
        ("\u03a3\u039f\u03a6\u039f\u03a3", "\u03c3\u03bf\u03c6\u03bf\u03c2", False, True),  # final sigma
        # scripts without blanks
        ("คำตอบคือลำปางครับ", "ลำปาง", True, True),
        ("เชียงราย", "ชียงราย", True, False),  # its leading vowel is a part of the first syllable
        ("答案是杭州。", "杭州", True, True),
        ("首都は京都です", "京都", True, True),
        ("アメリカです", "リカ", True, False),
        ("パリです", "パリ", True, True),
        ("ラーメン", "ラ", True, False),
        ("ទីក្រុងកំពតនេះ", "កំពត", True, True),
        ("ນະຄອນວຽງຈັນ", "ວຽງຈັນ", True, True),
        ("မန္တလေးမြို့", "မန္တလေး", True, True),
        ("1998年に", "1998", True, True),
        ("Linz市", "Linz", True, True),
        # Korean particles
        ("수도는 부산입니다", "부산", True, True),
        ("부산에서는", "부산", True, True),
        ("부산은 크다", "부산", True, True),
        ("부산물", "부산", True, False),
        ("신부산", "부산", True, False),
        ("3개", "3", True, True),
        # combining marks and vowel signs
        ("हिन्दी में", "हिन्द", True, False),
        ("हिन्दी में", "हिन्दी", True, True),
        ("রামায়ণ", "রাম", True, False),
        ("Paris\u0301", "Paris", False, False),
        # numbers
        ("It is 3.14", "3", True, False),
        ("It is 3.14", "14", True, False),
        ("It is 3.14", "3.1", True, False),
        ("It is 3.14.", "3.14", True, True),
        ("It is -4 degrees", "4", True, False),
        ("It is \u22124 degrees", "4", True, False),
        ("It is \u22124 degrees", "-4", True, True),
        ("3-4", "-4", True, False),
        ("3-4", "4", True, True),
        ("The answer\u20144", "4", True, True),
        ("It has 12,000 seats", "12", True, False),
        ("It has 12,000 seats", "000", True, False),
        ("It has 12 000 seats", "12", True, False),
        ("It has 12\u202f000 seats", "12 000", True, True),
        ("It has 12\u2019000 seats", "12", True, False),
        ("Room 1984 200 seats", "1984", True, True),
        ("1,5", "1", True, False),
        ("12:30", "12", True, False),
        ("It is 3.", "3", True, True),
        ("3, 4 or 5", "3", True, True),
        ("1914\u201318", "1914", True, True),
        ("04.05.1984", "1984", True, True),
        ("3\u00bd", "3", True, False),
        ("$4.", "4", True, True),
        ("\u21164", "4", True, True),
        ("\u0661\u0669\u0668\u0664", "1984", True, True),  # Arabic digits
        ("\u096a\u0966", "40", True, True),  # Devanagari digits
    ],
)
def test_texts_are_compared_in_one_normal_form(text: str, form: str, by_contains: bool, by_word: bool) -> None:
    assert contains(text, [form]) is by_contains
    assert word(text, [form]) is by_word


@given(TEXTS)
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)
    assert folded(folded(text)) == folded(text)
    assert folded(canonical(text)) == folded(text)


@given(TEXTS)
def test_how_a_text_is_composed_does_not_matter(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert canonical(unicodedata.normalize(form, text)) == canonical(text)


def test_exact_compares_the_first_line_in_normal_form() -> None:
    assert exact(" Orle\u0301ans.\nQ: more", ["Orl\u00e9ans"])
    assert exact("Washington D.C.", ["Washington D.C."])
    assert exact("\u200fLinz", ["Linz"])
    assert not exact("linz", ["Linz"])
    assert not exact("Linz, Austria", ["Linz"])
    assert not exact("", [""])
