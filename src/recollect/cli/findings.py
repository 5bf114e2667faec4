"""The findings of a study or grid for the terminal and for its JSON answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recollect.cli.options import console_out

if TYPE_CHECKING:
    from recollect.report import Results


def findings_answer(results: Results) -> list[dict[str, object]]:
    """Each finding with its verdict and the numbers of the check that decides it; fractions, as in results.json."""
    from recollect.report import Findings

    found = results.of(Findings)
    return found.answer() if found else []


def print_findings(results: Results) -> None:
    """One line for each finding that is decided, and one for how many are."""
    from recollect.report import Findings, counts_line, finding_line

    found = results.of(Findings)
    if found is None or not found.findings:
        return
    decided = [one for one in found.findings if one.verdict != "not decided here"]
    for one in decided:
        console_out.print(f"finding {one.id}: {finding_line(one)}", soft_wrap=True, highlight=False)
    rest = "; the report says what would decide the rest" if len(decided) < len(found.findings) else ""
    console_out.print(f"{counts_line(found)}{rest}.", soft_wrap=True, highlight=False)
