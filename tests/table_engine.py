"""A toy engine without torch: the next word's probabilities in a table, by the last word. The line that adds it is
`ENGINES["table"] = find_table`; its model is a JSON file {word: {next word: probability}}, "" being the end."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from recollect.core.machine import Machine
from recollect.core.random import draw
from recollect.core.workspace import fingerprint
from recollect.engines import FoundModel
from recollect.generate.conformance import Truth
from recollect.generate.engine import Ask, Decided, Drawn, Ids, Sampling
from recollect.models import LoadedModel, ModelSettings

TABLE = {
    "a": {"b": 0.4, "c": 0.3, "": 0.3},  # a tie
    "b": {"a": 0.6, "c": 0.1, "d": 0.1, "": 0.2},
    "c": {"d": 0.7, "a": 0.1, "": 0.2},
    "d": {"a": 0.25, "b": 0.3, "": 0.45},
}


def truth_of_table() -> Truth:
    words = ["", *TABLE]

    def after(ids: Ids) -> list[float]:
        row = TABLE[words[ids[-1]]]
        return [math.log(row[word]) if word in row else -math.inf for word in words]

    return Truth(("c", "a d b c", "b"), after, {0})


class TableEngine:
    name = "table"
    machine = Machine(1, "a table", "cpu", "a table", "float64", "a table")
    context = None
    draws_are_addressed = True
    draws_excluding = False

    def __init__(self, table: dict[str, dict[str, float]]) -> None:
        self.words = ["", *table]
        self.rows = [[table[word].get(after, 0.0) for after in self.words] for word in table]

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        return [
            [self.words.index(word) for word in prompt.split() if word in self.words[1:]] or [1] for prompt in prompts
        ]

    def encode_answers(
        self, prompts: Sequence[str], answers: Sequence[str], lead: str = " "
    ) -> list[tuple[list[int], list[int]]]:
        return list(zip(self.encode(prompts), self.encode([lead + answer for answer in answers]), strict=True))

    def decode(self, ids: Ids) -> str:
        return "".join(f" {self.words[at]}" for at in ids)

    def scores_at(self, temperature: float) -> bool:
        return True

    def batch_size(self, draws: int) -> int:
        return 50

    def probabilities(self, ids: Ids, temperature: float, top_k: int = 0) -> list[float]:
        weights = [value ** (1 / temperature) for value in self.rows[ids[-1] - 1]]
        least = sorted(weights)[-min(top_k, len(weights))] if top_k else 0.0
        kept = [weight if weight >= least else 0.0 for weight in weights]
        return [weight / sum(kept) for weight in kept]

    def greedy(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[list[int]]:
        return [self._say(ids, Sampling(1.0, max_new_tokens), None) for ids in prompts]

    def sample(self, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        addresses = [
            [(ask.name, str(ask.number), str(ask.first + number)) for number in range(ask.draws)] for ask in asks
        ]
        return [
            Drawn(tuple(self._say(ask.prompt, how, address) for address in those))
            for ask, those in zip(asks, addresses, strict=True)
        ]

    def score(
        self, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], temperature: float = 1.0
    ) -> list[list[list[float]]]:
        def one(prompt: Ids, ids: Ids) -> list[float]:
            before = [*prompt, *ids]
            shares = [
                self.probabilities(before[: len(prompt) + at], temperature)[token] for at, token in enumerate(ids)
            ]
            return [math.log(share) if share else -math.inf for share in shares]

        return [[one(ids, said) for said in texts] for ids, texts in zip(prompts, continuations, strict=True)]

    def self_test(self, temperature: float, top_k: int = 0) -> float | None:
        return None

    def _say(self, prompt: Ids, how: Sampling, address: tuple[str, ...] | None) -> list[int]:
        said: list[int] = []
        while len(said) < how.max_new_tokens:
            shares = self.probabilities([*prompt, *said], how.temperature, how.top_k)
            token = shares.index(max(shares))
            if address is not None:
                left = int.from_bytes(draw(how.seed, "table", *address, str(len(said)))[:7], "little") / 2**56
                token = next((at for at, end in enumerate(_sums(shares)) if left < end), token)
            if token == 0:
                break
            said.append(token)
        return said


def _sums(values: Sequence[float]) -> list[float]:
    return [math.fsum(values[: at + 1]) for at in range(len(values))]


def find_table(settings: ModelSettings, loaded: LoadedModel | None) -> FoundModel:
    table = json.loads(Path(settings.model).read_text(encoding="utf-8"))
    return FoundModel(fingerprint(table), lambda: TableEngine(table))
