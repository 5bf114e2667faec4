"""Where an output says that its answer begins: "Answer: …", "the answer is …", "#### …", a boxed formula.

A model that reasons first says its answer last, so the last mark counts. Outputs without a mark are read from their
beginning.
"""

from __future__ import annotations

import regex

_WORDS = (
    *("answer", "antwort", "réponse", "reponse", "respuesta", "risposta", "resposta", "antwoord", "ответ", "відповідь"),
    *("jawaban", "cevap", "đáp án", "उत्तर", "الجواب", "الإجابة", "答案", "答え", "解答", "정답", "답"),
)
_IS = r"(?:\s*(?:is|ist|est|es|è|é|是|は|은|는|to be))?\s*[:=]?"
_MARK = regex.compile(
    rf"(?<![\p{{L}}\p{{M}}])(?:{'|'.join(_WORDS)}){_IS}\s*|####\s*|\\boxed\s*\{{\s*",
    regex.IGNORECASE,
)


def after_mark(said: str) -> str | None:
    """What follows the last mark of an answer in a canonical text; None where there is no mark, or nothing after it."""
    ends = [found.end() for found in _MARK.finditer(said)]
    rest = next((said[end:] for end in reversed(ends) if said[end:].strip()), None)
    return None if rest is None else rest.lstrip(" *_`\"'")
