"""A report without a study: from finished evaluate and score steps about pages, side by side."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from recollect._version import __version__
from recollect.core.workspace import MANIFEST, read_manifest, step_input
from recollect.errors import InputError
from recollect.facts import load_facts
from recollect.report.chapters.attributes.collect import AskedPages, collect_attributes, has_page_scores
from recollect.report.results.results import RESULTS_FILE, Results, read_results


def report_results(paths: Sequence[Path]) -> Results:
    """The results to show: of a study or curve (its folder or results.json), or of evaluate and score steps on pages.

    Raises InputError for anything else, and for a mixture.
    """
    if len(paths) == 1 and not has_page_scores(paths[0]):
        _check_has_page(paths[0])
        return read_results(paths[0])
    strange = [path for path in paths if not has_page_scores(path)]
    if strange:
        raise InputError(
            f"several folders must all be evaluate or score steps about pages, but {strange[0]} is none. "
            "Give one study or curve, or such steps alone."
        )
    return _of_steps(paths)


def _check_has_page(path: Path) -> None:
    """Say of a step that has no page which ones have."""
    if (path / MANIFEST).is_file() and not (path / RESULTS_FILE).is_file():
        kind = read_manifest(path)["step"]
        raise InputError(
            f"{path} is a {kind} step, which has no report of its own. Give a study, curve or search, or evaluate and "
            "score steps about pages."
        )


def _of_steps(paths: Sequence[Path]) -> Results:
    manifests = [step_input(path, "evaluate", "score") for path in paths]
    names = _names(paths)
    kinds = ["model" if manifest["step"] == "evaluate" else "baseline" for manifest in manifests]
    asked = [
        AskedPages(path, name, "model" if kind == "model" else "baseline")
        for path, name, kind in zip(paths, names, kinds, strict=True)
    ]
    sources = [manifest["metrics"].get("sources", {}) for manifest in manifests]
    taught, notes = _taught([str(source["facts"]) for source in sources if source.get("facts")])
    return Results.make(
        title="What is read from pages",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=__version__,
        attributes=collect_attributes(asked, taught),
        steps=[_record(path) for path in paths],
        settings=[
            {"step": name, "name": key, "value": value, "origin": "step"}
            for name, source in zip(names, sources, strict=True)
            for key, value in source.items()
            if value
        ],
        notes=notes,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' own names, or their paths where a name stands twice."""
    counts = Counter(path.resolve().name for path in paths)
    return [path.resolve().name if counts[path.resolve().name] == 1 else str(path) for path in paths]


def _taught(sources: Sequence[str]) -> tuple[list[str], list[str]]:
    """The answers of the training pages, if the fact set is still there; else a note."""
    if not sources:
        return [], []
    try:
        return [fact.object for fact in load_facts(sources[0]) if fact.part == "train"], []
    except InputError:
        return [], [f"The pages {sources[0]!r} are no longer there, so the most frequent value is not shown."]


def _record(path: Path) -> dict[str, object]:
    manifest = read_manifest(path)
    return {"step": manifest["step"], "path": str(path), "fingerprint": manifest["fingerprint"]}
