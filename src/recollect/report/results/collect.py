"""Results from step folders alone, with no model: of a study or curve, or of evaluate and score steps about pages."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from recollect._version import __version__
from recollect.core.workspace import MANIFEST, Manifest, read_manifest, step_input
from recollect.core.workspace.curve import CurveFound
from recollect.core.workspace.experiment import ExperimentFound, GridFound, StudyFound
from recollect.core.workspace.fit import FitFound
from recollect.errors import InputError, RecollectError
from recollect.evaluate import EvaluateResult
from recollect.facts import load_facts
from recollect.probe import ProbeFound
from recollect.report.chapters import chapters
from recollect.report.chapters.attributes.collect import AskedPages, collect_attributes, has_page_scores
from recollect.report.chapters.elicits.record import missing_levels
from recollect.report.page.chapter import Chapter, Source
from recollect.report.page.record import Record
from recollect.report.page.results import Facts, Model, Results, SettingValue, StepRecord
from recollect.report.results.read import RESULTS_FILE, read_results
from recollect.train import PRESETS

Found = StudyFound | CurveFound | GridFound | FitFound
FOUND: dict[str, type[Found]] = {"study": StudyFound, "curve": CurveFound, "grid": GridFound, "fit": FitFound}
"""What the experiments found whose results are collected from their steps."""
SECTIONS = {"probe": "probe", "train": "train-*", "evaluate": "evaluate-*", "drift": "drift-*", "ladder": "ladder-*"}
"""A study's sections of settings, and the folders of their steps."""
HELD = {"model", "facts", "levels"}


def report_results(paths: Sequence[Path]) -> Results:
    """The results to show: of a study, grid, curve or search (its folder, or a results.json), or of evaluate and score
    steps on pages.

    A study or curve is read from its step folders, wherever they are now. Raises InputError for anything else and for a
    mixture.
    """
    if len(paths) == 1 and not has_page_scores(paths[0]):
        return _of_one(paths[0])
    strange = [path for path in paths if not has_page_scores(path)]
    if strange:
        raise InputError(
            f"several folders must all be evaluate or score steps about pages, but {strange[0]} is none. "
            "Give one study or curve, or such steps alone."
        )
    return _of_pages(paths)


def _of_one(path: Path) -> Results:
    if not (path / MANIFEST).is_file():
        return read_results(path)
    manifest = read_manifest(path)
    kind, older = manifest.step, "given" not in manifest.metrics  # its steps do not hold all that its page shows
    if kind in FOUND and not (older and (path / RESULTS_FILE).is_file()):
        return collect_results(path)
    if not (path / RESULTS_FILE).is_file():
        raise InputError(
            f"{path} is a {kind} step, which has no report of its own. Give a study, curve or search, or evaluate and "
            "score steps about pages."
        )
    return read_results(path)


def collect_results(path: Path) -> Results:
    """The results of the finished study, grid, curve or fit at `path`, from its steps."""
    manifest = step_input(path, *FOUND)
    found = FOUND[manifest.step].read(path)
    source = Source(path, manifest.step)
    records: dict[str, Record] = {}
    left_out: list[str] = []
    for chapter in chapters():
        record, why = _collected(chapter, source)
        left_out += [why] if why else []
        if record is not None:
            records[chapter.id] = record
            source.records.append(record)
    steps = [(folder, read_manifest(folder)) for folder in _steps(path, found)]
    return Results(
        title=manifest.settings.get("title", "Data curve") if found.title is None else found.title,
        created=manifest.finished,
        version=manifest.versions["recollect"],
        model=_model(manifest, found),
        facts=_facts(manifest, found),
        chapters=records,
        settings=_settings(path, manifest, found),
        steps=[_record(folder, step, path) for folder, step in steps],
        machine=found.machine,
        notes=[*left_out, *(_notes(path, found.notes) if isinstance(found, StudyFound) else found.notes)],
    )


def _collected(chapter: Chapter, source: Source) -> tuple[Record | None, str]:
    """A chapter's record, or why it has none: a number that its record does not take costs the chapter, not the page.

    What the user can fix, such as a damaged step, is raised.
    """
    try:
        return chapter.collect(source), ""
    except RecollectError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return None, f"The chapter {chapter.id!r} is left out, its numbers could not be read from the steps: {reason}"


def _model(manifest: Manifest, found: ExperimentFound) -> Model | None:
    """The base; None of a curve that judged a file of scores."""
    if "model" not in manifest.inputs:
        return None
    return Model(name=found.sources["model"], fingerprint=manifest.inputs["model"], parameters=found.parameters)


def _facts(manifest: Manifest, found: ExperimentFound) -> Facts | None:
    if "facts" not in manifest.inputs:
        return None
    facts = {"name": found.sources["facts"]} if found.facts is None else found.facts.plain()
    return Facts(**facts, fingerprint=manifest.inputs["facts"])


def _steps(path: Path, found: Found) -> list[Path]:
    """Of a study the probe, the base's answers, and what was trained, answered, measured and repaired; of a curve all;
    by their names. Of a grid its studies, in its order."""
    if isinstance(found, GridFound):
        return [path / part.folder for part in found.parts]
    kinds = (
        (
            *("probe", "hidden", "base", "base-few-shot", "train-*", "evaluate-*", "drift-*", "ladder-*"),
            *("curve", "search"),
        )
        if isinstance(found, StudyFound)
        else ("*",)
    )
    return [file.parent for kind in kinds for file in sorted((path / "steps").glob(f"{kind}/{MANIFEST}"))]


def _record(folder: Path, manifest: Manifest, root: Path) -> StepRecord:
    return StepRecord(
        step=manifest.step,
        path=folder.relative_to(root).as_posix(),
        fingerprint=manifest.fingerprint,
        seconds=manifest.metrics.get("seconds"),
    )


def _settings(path: Path, manifest: Manifest, found: Found) -> list[SettingValue]:
    """An experiment's own, and of a study those of the first step of each section, as they were run."""
    given, own = "given" if isinstance(found, CurveFound) else manifest.step, manifest.settings
    sections = SECTIONS if isinstance(found, StudyFound) else {}
    shown = [
        SettingValue(step=manifest.step, name=name, value=value, origin=given if name in found.given else "default")
        for name, value in {**_named(found), **own}.items()
        if name not in sections
    ]
    preset = (found.preset or "") if isinstance(found, StudyFound) else ""
    for section, kind in sections.items():
        first = next(iter(sorted((path / "steps").glob(f"{kind}/{MANIFEST}"))), None)
        if first is None:
            continue
        filled = PRESETS.get(preset, {}) if section == "train" else {}
        for name, value in read_manifest(first.parent).settings.items():
            if name not in HELD:
                origin = "study" if name in own[section] else f"preset {preset}" if name in filled else "default"
                shown.append(SettingValue(step=section, name=name, value=value, origin=origin))
    return shown


def _named(found: Found) -> dict[str, str]:
    """Where the inputs came from, by the names of their flags; of a fit its budget, too."""
    if not isinstance(found, FitFound):
        return found.sources
    flags = {"data" if name == "facts" else name: value for name, value in found.sources.items()}
    return {**flags, "budget": found.budget}


def _notes(path: Path, own: Sequence[str]) -> list[str]:
    steps = path / "steps"
    probe = ProbeFound.read(steps / "probe").notes if (steps / "probe" / MANIFEST).is_file() else ()
    return list(
        dict.fromkeys(
            [
                *own,
                *missing_levels(steps / "base"),
                *probe,
                *EvaluateResult(steps / "base").found.notes,
            ]
        )
    )


def _of_pages(paths: Sequence[Path]) -> Results:
    manifests = [step_input(path, "evaluate", "score") for path in paths]
    names = _names(paths)
    asked = [
        AskedPages(path, name, "model" if manifest.step == "evaluate" else "baseline")
        for path, name, manifest in zip(paths, names, manifests, strict=True)
    ]
    sources = [manifest.metrics.get("sources", {}) for manifest in manifests]
    taught, notes = _taught([str(source["facts"]) for source in sources if source.get("facts")])
    attributes = collect_attributes(asked, taught)
    return Results(
        title="What is read from pages",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=__version__,
        chapters={} if attributes is None else {"attributes": attributes},
        steps=[
            StepRecord(step=manifest.step, path=str(path), fingerprint=manifest.fingerprint)
            for path, manifest in zip(paths, manifests, strict=True)
        ],
        settings=[
            SettingValue(step=name, name=key, value=value, origin="step")
            for name, source in zip(names, sources, strict=True)
            for key, value in source.items()
            if value
        ],
        notes=notes,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' own names, or their paths where two have one name."""
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
