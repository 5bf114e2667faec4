"""Which judges an evaluation asks: those of `match`, and the one that asks a server.

`contains` and `word` judge every answer, as they always did. The first judge that is asked for is the main one: its
verdict stands under `right`, and levels of accuracy, choices of rungs, comparisons and searches go by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import polars as pl
from pydantic import AfterValidator, model_validator

from recollect.core.llm import ServerSettings
from recollect.core.settings import Settings
from recollect.evaluate.llm_judge import LLM, LlmJudge
from recollect.facts import Fact
from recollect.match import CONTAINED, DEFAULT_JUDGE, Answer, Asked, Judge, check_all, judge_of, split_names

RIGHT = "right"
"""The column of the main judge's verdict."""


def _check_judges(text: str) -> str:
    names = split_names(text)
    return ",".join(name if name == LLM else judge_of(name).name for name in names)


class JudgeSettings(Settings):
    """Who says whether an answer is right."""

    later_fields: ClassVar[set[str]] = {"judge", "server"}

    judge: Annotated[str, AfterValidator(_check_judges)] = DEFAULT_JUDGE
    """Who says whether an answer is right, the main judge first: contains, word, equal, exact-match, token-f1[:0.5],
    numeric[:1%][:last], choice, regex, json:PATH[:judge], llm (docs/judges.md). Several with commas between them."""
    server: ServerSettings = ServerSettings()
    """The LLM that the judge llm asks, and its price: endpoint, llm, price_in, price_out, …"""

    @model_validator(mode="after")
    def _server_is_named(self) -> JudgeSettings:
        if LLM in split_names(self.judge) and (missing := self.server.lacking("--server.")):
            raise ValueError(f"the judge llm needs {missing}")
        return self

    def judges(self) -> Judges:
        """The judges that are asked for, ready to judge."""
        return Judges.of(self.judge, self.server)


@dataclass(frozen=True)
class Judges:
    """The judges of a step."""

    main: Judge
    others: tuple[Judge, ...]
    """`contains` and `word`, and whatever else was asked for, without the main one."""
    asked: tuple[str, ...]
    """The names that were asked for."""

    @classmethod
    def of(cls, names: str, server: ServerSettings) -> Judges:
        """From their names; InputError for an unknown one."""
        asked = split_names(names)
        every = [LlmJudge(server) if name == LLM else judge_of(name) for name in dict.fromkeys([*asked, *CONTAINED])]
        return cls(every[0], tuple(every[1:]), tuple(one.name for one in every[: len(asked)]))

    @property
    def all(self) -> tuple[Judge, ...]:
        """Every judge: `contains` and `word` first."""
        every = {one.name: one for one in (self.main, *self.others)}
        return tuple(every[name] for name in dict.fromkeys([*CONTAINED, *every]))

    @property
    def names(self) -> list[str]:
        """Of every judge."""
        return [one.name for one in self.all]

    @property
    def llm(self) -> LlmJudge | None:
        """The judge that asks a server, where there is one."""
        return next((one for one in self.all if isinstance(one, LlmJudge)), None)

    def inputs(self) -> dict[str, dict[str, str]]:
        """What a step's inputs say of judges beyond the usual two: their versions."""
        more = {one.name: one.version for one in self.all if one.name not in CONTAINED}
        return {"judges": more} if more else {}

    @property
    def named(self) -> list[Judge]:
        """Those that were asked for."""
        return [one for one in self.all if one.name in self.asked]

    def check(self, facts: Sequence[Fact]) -> None:
        """Raise InputError for a fact that one of the judges could never judge, before a model is asked anything."""
        for one in self.all:
            if one.name not in CONTAINED:
                check_all(one, [(fact.accepted, asked_of(fact)) for fact in facts])


def asked_of(fact: Fact) -> Asked:
    """What a fact asks, for a judge."""
    return Asked(fact.question, fact.choices)


def verdict_columns(
    judges: Sequence[Judge],
    answers: Sequence[Answer],
    main: str,
    progress: Callable[[int, int], None] | None = None,
) -> list[pl.Series]:
    """The verdicts of each judge, as columns of an outputs table.

    `NAME` (right or wrong), of a graded judge `NAME score`, of each but the usual two `NAME reason`; and `right`, the
    verdict of the judge named `main`, where that is not `contains`.
    """
    columns = []
    for judge in judges:
        verdicts = judge.judge_all(answers, progress)
        right = [one.right for one in verdicts]
        columns.append(pl.Series(judge.name, right, dtype=pl.Boolean))
        if judge.graded:
            columns.append(pl.Series(score_column(judge.name), [one.score for one in verdicts], dtype=pl.Float64))
        if judge.name not in CONTAINED:
            columns.append(pl.Series(f"{judge.name} reason", [one.reason for one in verdicts], dtype=pl.String))
        if judge.name == main and main != DEFAULT_JUDGE:
            columns.append(pl.Series(RIGHT, right, dtype=pl.Boolean))
    return columns


def score_column(judge: str) -> str:
    """The column of a graded judge's scores."""
    return f"{judge} score"


def with_right(outputs: pl.DataFrame) -> pl.DataFrame:
    """The table with the column `right`: the main judge's verdict, which is `contains` where no other was named."""
    return outputs if RIGHT in outputs.columns else outputs.with_columns(pl.col(DEFAULT_JUDGE).alias(RIGHT))
