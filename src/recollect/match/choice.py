"""Multiple choice: the letter or the text of the right choice, whichever the output gives.

"B", "b)", "(B)", "**B**", "Answer: B.", "B. green", "option B" and "green" all say choice B of red, green, blue.

Notable choices
- The choices are the fact's own where the data has them; else the lines of its question that begin with A, B, C, … in
  order. An accepted form is a choice's text, or its letter.
- An output that names several letters, or a letter beside another choice's text, says nothing and is wrong.
- A bare letter counts where it cannot be a word: alone, before a sign such as ) or a full stop, or after a mark of an
  answer. "A dog" is no A.
- Texts are looked for as whole words, without case; one inside a longer choice that is there counts for the longer.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from recollect.match.edges import stands_alone
from recollect.match.judge import NOTHING_ASKED, Asked, Judge, Verdict
from recollect.match.marked import after_mark
from recollect.match.text import canonical, folded

LETTERS = "ABCDEFGHIJ"
_OPEN = r"[\s\"'*_`(\[{<.]*(?:(?:option|choice|letter)\s+)?[\"'*_`(\[{]*"
_ALONE = regex.compile(
    rf"{_OPEN}(?P<letter>[A-J])(?P<close>[\"'*_`]*[)\]}}.,:;!?]|[\"'*_`]*\s*$|[\"'*_`]+|\s+-\s|\s*\n)"
)
_SMALL = regex.compile(rf"{_OPEN}(?P<letter>[a-j])(?:[\"'*_`]*[)\]}}.:]|[\"'*_`.]*\s*$)")
_BEFORE_WORD = regex.compile(rf"{_OPEN}(?P<letter>[A-J])(?![\p{{Latin}}\p{{M}}\p{{N}}'])")
_IS_THE = regex.compile(r"^\s*(?:is|because|since|would|as it|für|est|ist|es)\b", regex.IGNORECASE)
_BRACKETED = regex.compile(
    r"[(\[](?P<letter>[A-Ja-j])[)\]]|\b(?:option|choice)\s+(?P<named>[A-J])\b|\s(?P<last>[A-J])[.!]?\s*$"
)
_AND = r"\s*(?:,|/|&|\bor\b|\band\b|\boder\b|\bund\b|或|和)\s*[\"'*_`(\[]*(?P<letter>[A-J])(?![\p{Latin}\p{N}'])"
_ANOTHER = regex.compile(rf"^[\"'*_`)\].]*{_AND}")
_SEVERAL = regex.compile(rf"(?<![\p{{L}}\p{{N}}'])(?P<first>[A-J])[\"'*_`)\].]*{_AND}")
_LISTED = regex.compile(r"(?:^|\n)\s*[(\[]?(?P<letter>[A-J])[)\].:]\s*(?P<text>[^\n]*\S)")
_INLINE = regex.compile(
    r"(?:^|\s)[(\[]?(?P<letter>[A-J])[)\]]\s*(?P<text>[^\n]*?\S)(?=\s+[(\[]?[A-J][)\]]\s|\s*\n|\s*$)"
)


class Choice(Judge):
    """Right when the output gives the letter or the text of the right choice, and no other."""

    name = "choice"
    needs = "other"

    def judge(self, output: str, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> Verdict:
        """See the class."""
        choices = _choices(asked)
        wanted = _wanted(accepted, choices)
        letter, why = said_letter(output, choices)
        return Verdict.of(letter in wanted, why)

    def check(self, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> str:
        """An accepted form must be the text of a choice or its letter."""
        choices = _choices(asked)
        if _wanted(accepted, choices):
            return ""
        if not choices:
            return (
                "is no letter, and the fact has no choices (a column of the data, or lines of the question that begin "
                "with A, B, C, …)"
            )
        return f"is none of the {len(choices)} choices"


def said_letter(output: str, choices: Sequence[str]) -> tuple[str, str]:
    """The letter that an output gives, "" for none, and why."""
    lines = "\n".join(canonical(line) for line in output.strip().split("\n"))
    marked = after_mark(lines)
    known = LETTERS[: len(choices)] if choices else LETTERS
    for part, sure in ((marked, True), (lines, False)):
        letter, rest = _letter_at_start(part, sure, known) if part is not None else ("", "")
        if letter:
            return _consistent(letter, rest, choices)
    named = _texts_said(marked or lines, choices) or _texts_said(lines, choices)
    if len(named) == 1:
        return named[0], f"the text of {named[0]}"
    if several_letters := _SEVERAL.search(marked or lines):
        return "", f"several choices: {several_letters['first']}, {several_letters['letter']}"
    letters = {(found["letter"] or found["named"] or found["last"]).upper() for found in _BRACKETED.finditer(lines)}
    letters &= set(known)
    if len(letters) == 1 and not named:
        (letter,) = letters
        return letter, f"the letter {letter}"
    several = named or sorted(letters)
    return "", f"several choices: {', '.join(several)}" if several else "no choice in the output"


def _letter_at_start(part: str, sure: bool, known: str) -> tuple[str, str]:
    """The letter that a text begins with, and what follows it. `sure`: the text follows the mark of an answer."""
    found = _ALONE.match(part) or _SMALL.match(part)
    if found is None or found["letter"].upper() not in known:
        found = _BEFORE_WORD.match(part)
        if found is not None and not sure:
            rest = part[found.end() :]
            word = found["letter"] in "AI" and rest[:1].isspace()
            if word and not _IS_THE.match(rest):
                found = None
    if found is None or found["letter"].upper() not in known:
        return "", ""
    return found["letter"].upper(), part[found.end("letter") :]


def _consistent(letter: str, rest: str, choices: Sequence[str]) -> tuple[str, str]:
    """The letter, unless what follows it names another one or another choice."""
    if other := _ANOTHER.match(rest):
        return "", f"several choices: {letter}, {other['letter']}"
    own = rest.split("\n", 1)[0]
    named = _texts_said(own, choices)
    if named and letter not in named and len(named) == 1:
        return "", f"the letter {letter} with the text of {named[0]}"
    return letter, f"the letter {letter}"


def _texts_said(said: str, choices: Sequence[str]) -> list[str]:
    """The letters of the choices whose texts occur, less those that occur only inside a longer one."""
    plain = folded(said)
    found = {}
    for letter, text in sorted(zip(LETTERS, map(folded, choices), strict=False), key=lambda one: -len(one[1])):
        if text and stands_alone(text, plain):
            found[letter] = text
            plain = plain.replace(text, " | ")
    return sorted(found)


def _choices(asked: Asked) -> tuple[str, ...]:
    """The fact's choices, else those that its question lists in order from A."""
    if asked.choices:
        return asked.choices
    for pattern in (_LISTED, _INLINE):
        listed = [(found["letter"], found["text"]) for found in pattern.finditer(asked.question)]
        if len(listed) >= 2 and [letter for letter, _ in listed] == list(LETTERS[: len(listed)]):
            return tuple(text for _, text in listed)
    return ()


def _wanted(accepted: Sequence[str], choices: Sequence[str]) -> set[str]:
    """The letters of the right choice."""
    forms = {folded(form) for form in accepted if form.strip()}
    letters = {letter for letter, text in zip(LETTERS, choices, strict=False) if folded(text) in forms}
    if letters:
        return letters
    known = LETTERS[: len(choices)] if choices else LETTERS
    return {
        found["letter"].upper()
        for form in accepted
        if (found := _FORM.fullmatch(form.strip())) and found["letter"].upper() in known
    }


_FORM = regex.compile(r"\(?(?P<letter>[A-Ja-j])[).:]?")
