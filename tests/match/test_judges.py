"""Every judge passes the suite, with verdicts known by hand; and what each of them promises beyond it."""

from __future__ import annotations

import pytest

from recollect.errors import InputError
from recollect.match import JUDGES, Asked, judge_of
from recollect.match.conformance import Example, check_judge
from recollect.match.judge import NOTHING_ASKED
from recollect.match.judges import split_names
from recollect.match.pattern import SECONDS
from recollect.match.squad import normalised, tokens

COLOURS = Asked("Which colour?", ("red", "green", "dark red", "a dog"))
LISTED = Asked("Which is it?\nA. Lima\nB. Quito\nC. La Paz")


def right(output: str, *accepted: str, asked: Asked = NOTHING_ASKED, score: float | None = None) -> Example:
    return Example(output, accepted, True, score, asked)


def wrong(output: str, *accepted: str, asked: Asked = NOTHING_ASKED, score: float | None = None) -> Example:
    return Example(output, accepted, False, score, asked)


EXAMPLES: dict[str, list[Example]] = {
    "contains": [right(" It is Lima.", "Lima"), wrong("It is lima.", "Lima"), right("Orle\u0301ans", "Orléans")],
    "word": [right("it is LIMA.", "Lima"), wrong("Limassol", "Lima"), right("答案是杭州。", "杭州")],
    "equal": [
        right(" lima. ", "Lima"),
        wrong("It is Lima", "Lima"),
        right("Ｌｉｍａ", "Lima"),
        right("İstanbul", "istanbul"),
        right("St.", "St."),
    ],
    "exact-match": [
        right("The Eiffel Tower!", "eiffel tower"),
        wrong("The Eiffel Tower in Paris", "Eiffel Tower"),
        right("«Война и мир»", "Война и мир"),
        right("杭州。", "杭州"),
        wrong("杭州市", "杭州"),
        right("The", "The"),  # articles alone are compared as they are
        wrong("A", "The"),
        right("ก็ดี", "ก็ดี"),
    ],
    # two of three words in common with two: 2 * 2 / (3 + 2)
    "token-f1": [
        right("the capital Lima", "Lima, capital", score=1.0),
        right("Lima in Peru", "Lima Peru", score=0.8),
        wrong("one two three four Lima", "Lima", score=2 / 6),
        wrong("Quito", "Lima", score=0.0),
        right("北京市朝阳区", "北京朝阳", score=0.8),  # letters: 2 * 4 / (6 + 4)
        right("to be or not to be", "to be to be", score=0.8),  # each as often as it is there
        right("in Peru", "Quito", "Peru", score=2 / 3),  # the best form
    ],
    "token-f1:0.9": [wrong("Lima in Peru", "Lima Peru", score=0.8), right("Lima", "the Lima", score=1.0)],
    "numeric": [
        right("It is 3.", "3"),
        wrong("3.14", "3"),
        wrong("-3", "3"),
        right("−3", "-3"),
        right("1,234.5", "1234.5"),
        right("1.234,5", "1234.5"),
        right("12 000 people", "12000"),
        wrong("12,000", "12"),
        right("1'299", "1299"),
        right("1,00,000", "100000"),
        right("3 million", "3,000,000"),
        right("３００公里", "300"),
        right("١٢٣", "123"),
        right("3万", "30000"),
        right("5 km", "5000 m"),
        right("5 km", "5"),
        wrong("5 km", "5 kg"),
        right("50 %", "0.5"),
        right("50 percent", "50%"),
        right("50", "50 %"),
        wrong("50 %", "0.6"),
        right("$1.5 million", "1500000 USD"),
        right("2½", "2.5"),
        right("1/2", "0.5"),
        right("3 × 10⁸ m/s", "300000000"),
        right("6.02e23", "6.02 x 10^23"),
        right("0.1", ".1"),
        right("2 + 3 = 5, so the answer is 5", "5"),
        right("\\boxed{42}", "42"),
        right("first 7, then 9 #### 1,234", "1234"),
        wrong("2 plus 3 gives 5", "5"),  # the first counts
        wrong("CO2", "2"),
        wrong("at 12:30", "12"),
        wrong("version 1.2.3", "1.2"),
        right("1914-18", "1914"),
        right("Ответ: 12,5", "12.5"),
    ],
    "numeric:1%": [right("101", "100"), wrong("101.1", "100"), right("0.0505", "5 %")],
    "numeric:0.5": [right("5.5 km", "5 km"), wrong("5.6 km", "5 km"), right("5,400 m", "5 km")],
    "numeric:last": [right("2 plus 3 gives 5", "5"), wrong("5, not 7", "5")],
    "numeric:decimal-comma": [right("1.234", "1234"), wrong("1,234", "1234"), right("1,234", "1,234")],
    "choice": [
        *(
            right(said, "green", asked=COLOURS)
            for said in ("B", "b", "(b)", "b)", "B.", "**B**", "[B]", "Ｂ", "B\nC is")
        ),
        *(
            right(said, "green", asked=COLOURS)
            for said in ("Answer: B.", "The answer is B", "答案是B", "정답은 B입니다")
        ),
        *(right(said, "green", asked=COLOURS) for said in ("B. green", "green", " Green.", "option B", "B is correct")),
        *(right(said, "green", asked=COLOURS) for said in ("I think (B) is right", "It must be B", "**(B) green**")),
        *(wrong(said, "green", asked=COLOURS) for said in ("A", "A or B", "A, B", "red or green", "B) red", "E", "")),
        *(wrong(said, "green", asked=COLOURS) for said in ("A dog", "Because", "B12", "dark red", "Bananas", "I")),
        wrong("dark red", "red", asked=COLOURS),  # the longer choice was said
        right("dark red", "dark red", asked=COLOURS),
        right("A dog", "a dog", asked=COLOURS),
        wrong("A dog", "red", asked=COLOURS),  # no letter A
        right("B", "Quito", asked=LISTED),
        right("La Paz", "C", asked=LISTED),
        wrong("Lima", "C", asked=LISTED),
        right("(C)", "C"),
        right("b", "b)", asked=Asked("Is it (A) one (B) two?")),
    ],
    "regex": [
        right("in 1984.", r"\b19\d\d\b"),
        wrong("in 19845", r"\b19\d\d\b"),
        right("GRÜN", "(?i)gr(ü|ue)n"),
        right("a\nb", "(?m)^b$"),
        right("Пари́ж".replace("\u0301", ""), "Париж|Paris"),
    ],
    "json:city": [
        right('{"city": "Lima"}', "Lima"),
        right('Sure!\n```json\n{"city": "lima"}\n```\nBye', "Lima"),
        right('It is {"city": "Lima", "n": 1} I think', "Lima"),
        wrong('{"city": "Lima"', "Lima"),
        wrong('{"town": "Lima"}', "Lima"),
        wrong('{"city": null}', "null"),
        wrong("Lima", "Lima"),
        right('{"city": "Lima"}', '{"city": "LIMA", "n": 2}'),
        wrong('{"city": ["Lima"]}', "Lima"),
        right('{"city": ["Lima"]}', '["Lima"]', '{"city": ["Lima"]}'),
    ],
    "json:items[1].price:numeric:1%": [
        right('{"items": [{}, {"price": "1,299.00 €"}]}', "1300"),
        wrong('{"items": [{"price": 1299}]}', "1299"),
        right('[1] {"items": [0, {"price": 1299.0}]}'.replace("[1] ", ""), "1299"),
    ],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_judge_passes_the_suite(name: str) -> None:
    check_judge(lambda: judge_of(name), EXAMPLES[name], judge_of)


def test_every_judge_of_the_list_has_examples() -> None:
    assert {name.partition(":")[0] for name in EXAMPLES} == set(JUDGES)


def test_a_judge_that_breaks_a_promise_fails_the_suite() -> None:
    from recollect.match.judge import NOTHING_ASKED, Judge, Verdict

    class Forgetful(Judge):
        name = "word"

        def judge(self, output, accepted, asked=NOTHING_ASKED):
            return Verdict.of(any(form in output for form in accepted))  # a blank form is in everything

    with pytest.raises(AssertionError, match="right by the forms"):
        check_judge(Forgetful, [right("Lima", "Lima"), wrong("Quito", "Lima")], None)
    with pytest.raises(AssertionError, match="NFC"):
        check_judge(Forgetful, [right("Orle\u0301ans", "Orle\u0301ans"), wrong("Quito", "Lima")], None)


def test_the_normal_form_is_that_of_squad() -> None:
    """Worked out by hand from its definition: lower case, no punctuation, no articles, single blanks."""
    assert normalised("  The  U.S.  of A.,\tan  Anthem! ") == "us of anthem"
    assert normalised("well-known; a 'theatre'") == "wellknown theatre"
    assert normalised("$5 + 3 = 8%") == "5 3 8"
    assert tokens("Der Name der Rose") == ["der", "name", "der", "rose"]
    assert tokens("東京 Tower") == ["東", "京", "tower"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nearly", "judge must be one of contains, word, equal"),
        ("word:x", "the judge word takes no options"),
        ("token-f1:0", "above 0 and at most 1"),
        ("token-f1:two", "above 0 and at most 1"),
        ("numeric:first", "the options of numeric"),
        ("numeric:1%:2%", "the options of numeric"),
        ("json", "needs the path of a field"),
        ("json:a..b", "needs the path of a field"),
        ("json:[x]", "needs the path of a field"),
        ("json:a:nearly", "judge must be one of"),
    ],
)
def test_a_bad_name_says_what_is_expected(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        judge_of(name)


@pytest.mark.parametrize("names", ["", "word,", "word,word"])
def test_a_list_of_names_has_each_once(names: str) -> None:
    with pytest.raises(InputError, match="each once"):
        split_names(names)


@pytest.mark.parametrize(
    ("name", "accepted", "asked", "said"),
    [
        ("numeric", ("Lima",), Asked(), "holds no number"),
        ("numeric", ("5 to 10",), Asked(), "holds 2 numbers"),
        ("choice", ("Lima",), Asked("What is it?"), "is no letter, and the fact has no choices"),
        ("choice", ("Bogotá",), LISTED, "is none of the 3 choices"),
        ("choice", ("D",), LISTED, "is none of the 3 choices"),
        ("regex", ("(a",), Asked(), "is no regular expression"),
        ("regex", ("a*",), Asked(), "every output matches"),
        ("regex", ("(a+)+$",), Asked(), "takes over"),
        ("regex", (r"(\w|[a-z])+\d$",), Asked(), "takes over"),
        ("regex", ("x" * 3000,), Asked(), "more than 2,000"),
        ("json:city", ('{"town": "Lima"}',), Asked(), "without the field city"),
        ("json:n:numeric", ('{"n": "many"}',), Asked(), "holds no number"),
        ("contains", (" ",), Asked(), "is empty"),
    ],
)
def test_an_answer_that_cannot_be_judged_is_known_beforehand(name, accepted, asked, said) -> None:
    assert said in judge_of(name).check(accepted, asked)


def test_a_pattern_that_takes_too_long_on_an_output_is_refused_by_name() -> None:
    """One that the provoking texts do not provoke: it needs a run of a sign that is not in it."""
    pattern = r"^([^x]|[^x])+$"
    judge = judge_of("regex")
    with pytest.raises(InputError, match=rf"takes over {SECONDS:g} s"):
        judge.judge("§" * 3_000 + "x", [pattern])
