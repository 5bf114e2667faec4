"""Export a model and check that what was written answers as the model does.

Notable choices
- A step directory like any other: what was written is in `model/`, what the check found in its manifest.
- The exported model is never changed: a train step is only read.
- A check that cannot run here is no failure and no success: the result says that it was not made, and why.
- The card is written again, with what is known of the model by now.
"""

from __future__ import annotations

import gc
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recollect.chat.asking import settled
from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, open_step
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.export.exporter import CannotAskError, Exporter, Job, Prompt, Written
from recollect.export.formats import EXPORTERS
from recollect.export.greedy import greedy_texts
from recollect.export.parity import Differing, Parity, compare_answers
from recollect.export.questions import prompts_for, questions_for, trained_in
from recollect.export.scores import known_of
from recollect.export.settings import ExportSettings
from recollect.models import ModelRef, ModelSettings, begin_input, load_weights, machine_of, resolve_name
from recollect.models.origin import Origin, origin_of
from recollect.models.whole import load_tokenizer
from recollect.prompt import DEFAULT_TEMPLATE
from recollect.train.card import CardContent, write_card
from recollect.train.step_card import card_of_step

Progress = Callable[[int, int], None]
_STAGES = 3  # writing, asking the original, asking the export


class ExportFound(Result):
    """What an export wrote, and what its check found."""

    to: str
    path: str
    """What other programs are given, from the step directory."""
    parity: Parity | None = None
    """None where the check could not be made."""
    unchecked: str = ""
    """Why not."""
    bound: float
    """The least share of equal answers by default."""
    prompt: str
    """How the questions were asked: "chat template", or the fine-tuning prompt."""
    notes: tuple[str, ...] = ()
    sources: dict[str, str] = {}
    """Which model was exported."""


@dataclass(frozen=True)
class ExportResult:
    """A finished export: the step directory and what was found."""

    path: Path
    found: ExportFound
    least: float
    """The share of equal answers that was asked for."""

    @property
    def exported(self) -> Path:
        """What other programs are given: a folder or a file."""
        return self.path / self.found.path

    @property
    def passed(self) -> bool:
        """Whether the check was made and found enough equal answers; True also where it could not be made."""
        return self.found.parity is None or self.found.parity.share >= self.least

    @property
    def differing(self) -> Sequence[Differing]:
        """The questions that were answered differently."""
        return self.found.parity.differing if self.found.parity else ()

    def answer(self) -> dict[str, object]:
        """For `--json`."""
        parity = self.found.parity
        share, n = (parity.share, parity.n) if parity else (None, 0)
        return {"to": self.found.to, "path": str(self.exported), "parity": share, "n": n}


def run_export(
    settings: ExportSettings,
    model: str | Path,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
) -> ExportResult:
    """Write `model` in the form that `settings.to` names, and ask both the same questions.

    `model` is a train, restore or pocket step directory, or any model folder. Raises ModelError for a broken model or a
    tool that failed, InputError for what cannot be exported so, MissingExtra for a tool that is not there.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect import ExportSettings, run_export
        >>> result = run_export(ExportSettings.make(to="merged", questions=8, max_new_tokens=4), tuned)
        >>> result.found.parity.share, result.passed
        (1.0, True)
        >>> sorted(file.name for file in result.exported.glob("*.json*"))[:2]
        ['config.json', 'generation_config.json']
    """
    exporter, job = EXPORTERS[settings.to], _job(settings, str(model))
    exporter.check(job)
    tokenizer = load_tokenizer(job.ref.whole, job.ref.runs_code)
    questions = questions_for(job.ref.folder, settings.ask, settings.questions, settings.seed)
    if not questions:
        raise InputError(f"{settings.ask} holds no question to ask. Give --ask facts with questions.")
    chat, template = _asked_in(job.ref)
    prompts = prompts_for(tokenizer, questions, chat, template)
    inputs = {
        "model": job.ref.fingerprint,
        "prompts": fingerprint([prompt.text for prompt in prompts]),
        **begin_input(job.ref.whole),
    }
    with open_step("export", settings, inputs, out, root) as step:
        if not step.done:
            step.finish(_export(job, exporter, prompts, step, progress))
        found = ExportFound.read(step.path)
        least = found.bound if settings.parity_bound is None else settings.parity_bound
        return ExportResult(step.path, found, least)


def _job(settings: ExportSettings, model: str) -> Job:
    ref = resolve_name(model, settings.revision, settings.trust_remote_code)
    held = ModelSettings.make(model=str(ref.folder), device=settings.device, dtype=settings.dtype)
    trained = trained_in(ref.folder)
    given = str((trained[1].metrics.get("sources") or {}).get("model", "")) if trained else ""
    origin = origin_of(given or model, ref.whole if ref.base or not trained else _base_of(given, ref))
    if settings.base_id:
        origin = replace(origin, name=settings.base_id, hub_id=settings.base_id, revision="")
    name = re.sub(r"[^\w.\-]+", "-", origin.name.rpartition("/")[2]) + "-tuned"
    return Job(settings, ref, origin, machine_of(held, ref.folder), name)


def _base_of(given: str, ref: ModelRef) -> Path:
    """The folder of the base that a whole model was trained from, where it is still there; else the model's own."""
    folder = Path(given).expanduser()
    return folder if folder.is_dir() else ref.whole


def _asked_in(ref: ModelRef) -> tuple[bool, str]:
    """Whether the model is asked in its chat template, and its fine-tuning prompt: as it was trained, if it was."""
    trained = trained_in(ref.folder)
    template = trained[1].settings.get("prompt_template", DEFAULT_TEMPLATE) if trained else DEFAULT_TEMPLATE
    return settled("auto", ref) == "chat", str(template)


def _export(
    job: Job, exporter: Exporter, prompts: Sequence[Prompt], step: Step, progress: Progress | None
) -> ExportFound:
    def tell(done: int) -> None:
        if progress:
            progress(done, _STAGES)

    target = step.folder / "model"
    shutil.rmtree(target, ignore_errors=True)  # left by a run that was killed
    tell(0)
    written = exporter.write(job, target, step.scratch("work"))
    tell(1)
    parity, unchecked = _check(job, exporter, written, prompts, lambda: tell(2))
    tell(3)
    write_card(target, _card(job, exporter, written, parity))
    return ExportFound(
        to=job.settings.to,
        path=written.path.relative_to(step.folder).as_posix(),
        parity=parity,
        unchecked=unchecked,
        bound=exporter.bound(job.settings),
        prompt="chat template" if prompts[0].messages else "fine-tuning prompt",
        notes=written.notes,
        sources={"model": str(job.ref.folder)},
    )


def _check(
    job: Job, exporter: Exporter, written: Written, prompts: Sequence[Prompt], asked: Callable[[], None]
) -> tuple[Parity | None, str]:
    """The answers of the original against those of what was written; None and the reason where that cannot run here."""
    try:
        export = exporter.ask(job, written, prompts)
    except CannotAskError as error:
        return None, str(error)
    gc.collect()  # one model in memory at a time
    asked()
    model, tokenizer = load_weights(job.ref, job.machine)
    original = greedy_texts(model, tokenizer, prompts, job.settings.max_new_tokens)
    return compare_answers(prompts, original, export), ""


def _card(job: Job, exporter: Exporter, written: Written, parity: Parity | None) -> CardContent:
    known = known_of(job.ref.fingerprint, job.ref.folder, job.settings.scores)
    content = card_of_step(job.ref.folder) or _plain_card(job.origin, job.ref)
    whole = exporter.whole or not (written.path / "adapter_config.json").is_file()
    changed = [*content.changed, *([written.changed] if written.changed else [])]
    if parity is not None:
        low, high = 100 * parity.equal.low, 100 * parity.equal.high
        changed.append(
            f"Checked after the export: {100 * parity.share:.0f} % of {parity.n} greedy answers are those of the "
            f"original (95 % interval {low:.0f} to {high:.0f})."
        )
    return replace(
        content,
        origin=job.origin,
        adapter=not whole,
        changed=changed,
        scores=known.scores,
        drift=known.drift,
        form=job.settings.to,
    )


def _plain_card(origin: Origin, ref: ModelRef) -> CardContent:
    """The card of a model that no step of ours trained."""
    return CardContent(
        title=origin.name.rpartition("/")[2],
        origin=origin,
        adapter=ref.base is not None,
        prompt=None,
        data=(),
        settings={},
    )
