"""`recollect rescore`: stored texts judged again, by another judge or a newer version, with no model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.table import Table

from recollect.cli.judges import YesOption, agree_to_pay, agreement_line
from recollect.cli.options import ProgressLine, answer, console_out, note, print_table
from recollect.core.llm import ServerSettings
from recollect.core.settings import mapping_of, parse_yaml
from recollect.core.workspace import step_input, write_parquet
from recollect.core.workspace.manifest import Manifest
from recollect.errors import InputError
from recollect.match import MATCHER_VERSION

if TYPE_CHECKING:
    from recollect.match import Judge


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rescore", help="Judge the stored texts of a sampled probe or an evaluation again, with no model.")(
        _rescore
    )


def _rescore(
    step: Annotated[Path, typer.Argument(help="A finished evaluate step, or a probe step (method sampled).")],
    facts: Annotated[
        str | None,
        typer.Option("--facts", help="The fact set. Default: pocket for a probe, the stored forms for an evaluation."),
    ] = None,
    judge: Annotated[
        str, typer.Option("--judge", "--matcher", help="Who judges: word, token-f1:0.6, llm, … (docs/judges.md).")
    ] = "word",
    server: Annotated[
        str | None,
        typer.Option("--server", help='For the judge llm: "{endpoint: …, llm: …}". Default: as the step had it.'),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--judge-labels", help="Answers judged by hand, to compare the judge with.")
    ] = None,
    yes: YesOption = False,
    out: Annotated[Path | None, typer.Option("--out", help="Parquet file for the new levels or accuracies.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Taken for uniformity; nothing here is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    from recollect.evaluate import Judges

    manifest = step_input(step, "probe", "evaluate")
    if "," in judge:
        raise InputError(f"rescore takes one judge at a time, but got {judge!r}.")
    wanted = Judges.of(judge, _server(server, manifest)).main
    version = manifest.inputs.get("matcher")
    if version != MATCHER_VERSION:
        note(f"note: judged by version {version} of the matchers when it was made, by version {MATCHER_VERSION} now")
    if manifest.step == "probe":
        if labels is not None:
            raise InputError("--judge-labels goes with an evaluate step, but this is a probe.")
        _levels(step, facts or "pocket", wanted, out, as_json)
        return
    _Answers(step, facts, wanted, labels).judge_again(out, as_json, yes=yes)


def _server(given: str | None, manifest: Manifest) -> ServerSettings:
    """The server as it is given, over the one of the step's own settings."""
    stored = manifest.settings.get("server") or {}
    values = mapping_of(parse_yaml(given, "--server"), "--server") if given else {}
    return ServerSettings.make(**{**stored, **values})


def _levels(step: Path, facts: str, judge: Judge, out: Path | None, as_json: bool) -> None:
    from recollect.facts import load_facts
    from recollect.probe import rescore_levels

    levels = rescore_levels(step, load_facts(facts), judge)
    if out is not None:
        write_parquet(out, levels)
    counts = {str(level): int((levels["level"] == level).sum()) for level in range(5)}
    if not as_json:
        table = Table(title=f"levels by the judge {judge.name}", show_header=False)
        for level, count in counts.items():
            table.add_row(level, f"{count:,}")
        print_table(table)
    answer({"facts": len(levels), "levels": counts, "matcher": judge.name, "out": str(out or "")}, as_json)


@dataclass(frozen=True)
class _Answers:
    """The stored answers of an evaluation, and who judges them again."""

    step: Path
    facts: str | None
    judge: Judge
    labels: Path | None

    def judge_again(self, out: Path | None, as_json: bool, *, yes: bool) -> None:
        from recollect.evaluate import rescore_answers, stored_answers
        from recollect.evaluate.llm_judge import LlmJudge
        from recollect.facts import load_facts

        judge, known = self.judge, None if self.facts is None else load_facts(self.facts)
        if isinstance(judge, LlmJudge):
            agree_to_pay(judge.bound(stored_answers(self.step, known)), judge.server, "answers", yes=yes)
        with ProgressLine("judging", "answers") as progress:
            accuracy = rescore_answers(self.step, known, judge, progress=progress)
        if out is not None:
            write_parquet(out, accuracy)
        if not as_json:
            _print_accuracy(accuracy, judge)
        rows = accuracy.select("part", "level", "n", "right", "accuracy", "score").rows(named=True)
        agreed = self._agreement()
        answer({"matcher": judge.name, "accuracy": rows, **agreed, "out": str(out or "")}, as_json)

    def _agreement(self) -> dict[str, object]:
        from recollect.evaluate import read_hand_labels
        from recollect.facts import load_facts

        if self.labels is None:
            return {}
        known = load_facts(self.facts) if self.facts else None
        found = read_hand_labels(self.labels, known).compare(self.judge)
        console_out.print(agreement_line(self.judge.name, found), soft_wrap=True)
        return {"agreement": found.plain()}


def _print_accuracy(accuracy: pl.DataFrame, judge: Judge) -> None:
    table = Table("part", "level", "n", "right in %", title=f"accuracy by the judge {judge.name}")
    if judge.graded:
        table.add_column("mean score in %")
    for row in accuracy.iter_rows(named=True):
        score = [] if not judge.graded else ["" if row["score"] is None else f"{row['score']:.1f}"]
        table.add_row(row["part"], row["level"], f"{row['n']:,}", f"{row['accuracy']:.1f}", *score)
    print_table(table)
