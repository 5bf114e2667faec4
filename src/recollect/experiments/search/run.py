"""The front door of a search: one seed, or several and what they agree on."""

from __future__ import annotations

from pathlib import Path

from recollect.core.workspace import DEFAULT_ROOT
from recollect.experiments.search.once import Say, SearchResult, Stage, Watch, search_once
from recollect.experiments.search.settings import SearchSettings
from recollect.experiments.search.several import run_several
from recollect.facts import FactSet


def run_search(
    settings: SearchSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    *,
    stage: Stage | None = None,
    watch: Watch | None = None,
    facts: FactSet | None = None,
    say: Say | None = None,
) -> SearchResult:
    """Search, resume a search, or find it done. `watch` is called at every finished rung; `say` with a line about what
    was repaired when a search is resumed (default: a warning of Python's).

    Raises InputError for a space, budget or section that cannot be used, StepError when the folder is of another search
    or busy, RecollectError when no trial could be finished, and what the steps raise; nothing finished is lost.
    """
    run = run_several if settings.repeats > 1 else search_once
    return run(settings, out, root, stage=stage, watch=watch, facts=facts, say=say)
