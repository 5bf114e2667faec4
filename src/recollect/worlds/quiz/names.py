"""Invented names: pronounceable, distinct, and of a kind one can tell (a person has two, a label ends in Records)."""

from __future__ import annotations

import random

_ONSETS = [
    "b",
    "br",
    "c",
    "cl",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "qu",
    "r",
    "s",
    "sk",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
]
_VOWELS = ["a", "a", "e", "e", "i", "i", "o", "o", "u", "ai", "ea", "ie", "ou"]
_CODAS = ["", "", "", "l", "n", "r", "s", "m", "nd", "rk", "st", "th", "x"]
_ENDINGS = {
    "country": ["ia", "land", "mark", "stan", "ora"],
    "region": ["shire", "vale", "wick", "mere", "gau"],
    "city": ["ton", "burg", "ford", "haven", "port", "by", "polis", "stad"],
    "language": ["ish", "ic", "ese", "an"],
}
_SUFFIXES = {
    "university": ["College", "University", "Academy", "Institute"],
    "company": ["Works", "Industries", "Group", "Motors", "Systems", "Foods"],
    "band": ["Quartet", "Band", "Ensemble", "Trio"],
    "label": ["Records", "Music", "Sound"],
    "landmark": ["Museum", "Tower", "Bridge", "Festival", "Stone", "Palace"],
    "product": ["One", "Mark II", "Classic", "Mini", "Pro"],
    "work": ["Song", "Letters", "Dream", "Winter", "Garden", "Journey", "Shadow", "River"],
}
WORDS = {
    "occupation": [
        "poet",
        "politician",
        "painter",
        "lawyer",
        "engineer",
        "baker",
        "architect",
        "botanist",
        "composer",
        "sculptor",
        "historian",
        "journalist",
        "surgeon",
        "photographer",
        "economist",
        "geologist",
        "actor",
        "chemist",
        "diplomat",
        "astronomer",
    ],
    "position": [
        "goalkeeper",
        "defender",
        "midfielder",
        "forward",
        "pitcher",
        "catcher",
        "shortstop",
        "winger",
        "quarterback",
    ],
    "genre": [
        "jazz",
        "folk",
        "blues",
        "opera",
        "techno",
        "reggae",
        "ballad",
        "swing",
        "fantasy",
        "satire",
        "thriller",
        "western",
    ],
}


class Namer:
    """Draws names of a kind, never the same twice and never one inside another name already given."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._stems: set[str] = set()

    def stem(self, syllables: int) -> str:
        """A new capitalised stem of so many syllables."""
        while True:
            parts = [
                self._random.choice(_ONSETS) + self._random.choice(_VOWELS) + self._random.choice(_CODAS)
                for _ in range(syllables)
            ]
            stem = "".join(parts).capitalize()
            if 4 <= len(stem) <= 11 and stem not in self._stems:
                self._stems.add(stem)
                return stem

    def name(self, kind: str) -> str:
        """A new name of this kind."""
        if kind == "person":
            return f"{self.stem(2)} {self.stem(2)}"
        if kind in _ENDINGS:
            return self.stem(2) + self._random.choice(_ENDINGS[kind])
        if kind in _SUFFIXES:
            return f"{self.stem(2)} {self._random.choice(_SUFFIXES[kind])}"
        raise KeyError(kind)

    def pool(self, kind: str, size: int) -> list[str]:
        """`size` names of this kind (all the words there are, for kinds made of common nouns)."""
        if kind in WORDS:
            return WORDS[kind][:size]
        return [self.name(kind) for _ in range(size)]
