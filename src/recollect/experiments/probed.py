"""What a probe says of the facts, and that what an experiment asks is among what it probes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recollect.errors import InputError
from recollect.facts import Fact, FactSet
from recollect.probe import ProbeSettings, chosen_facts


@dataclass(frozen=True)
class Probed:
    """Where a probe is, and its levels; both None of facts that have none, as pages."""

    path: Path | None = None
    levels: pl.DataFrame | None = None


def check_asked_are_probed(asked: Iterable[Fact], facts: FactSet, probe: ProbeSettings, without: str) -> None:
    """Raise InputError, before any work, where no fact that would be asked would get a level from this probe.

    `without`: what to do instead where no levels are wanted.
    """
    probed = {fact.id for fact in chosen_facts(facts, probe)}
    asked_ids = {fact.id for fact in asked}
    if asked_ids & probed:
        return
    limit = "no limit" if probe.limit is None else f"limit {probe.limit:,}"
    raise InputError(
        f"none of the {len(asked_ids):,} facts that would be asked is among the {len(probed):,} that would be probed "
        f"(section probe: parts {probe.parts}, {limit}), so no answer would have a memory level. Probe the asked ones "
        f"too: --probe.parts train,test, and with a limit a larger one. {without}"
    )
