"""The drift step: what fine-tuning changed, in tokens and in parameters, and what it cost elsewhere.

Notable choices
- One model at a time: the tuned one reads every text and leaves its final hidden states, then the base does.
- The floor: the base against itself in batches of another size. What is at the floor is rounding, not drift.
- Without a probe there are no levels and no best templates, so the paper's KL is null and a note says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import computed_field

from recollect.chat.asking import asked_for, settled
from recollect.core.workspace import DEFAULT_ROOT, fingerprint, open_step, step_input
from recollect.core.workspace.result import Result
from recollect.drift.change import ChangeFound, change
from recollect.drift.compare import Asked, BaseSide, Probe, TokensFound, compare_tokens
from recollect.drift.settings import DriftSettings
from recollect.drift.sides import open_both
from recollect.drift.tokens import best_templates, general_text, known_best
from recollect.errors import InputError
from recollect.facts import FactSet, load_facts, read_relations
from recollect.models import begin_input
from recollect.select import levels_fingerprint, read_levels

Progress = Callable[[int, int], None]


class DriftFound(Result):
    """What fine-tuning changed."""

    parameters: ChangeFound
    tokens: TokensFound = TokensFound()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def kl_paper(self) -> float | None:
        """Mean KL of *Token and Parameter Levels* (docs/studies.md §4); None without a probe of the base."""
        return self.tokens.first_tokens.mean if self.tokens.first_tokens else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def kl_full(self) -> float | None:
        """Mean KL(tuned || base) over the whole vocabulary on answer tokens; None without tokens."""
        return self.tokens.answers.forward.mean if self.tokens.answers else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def share_top(self) -> dict[str, float]:
        """As in `parameters`."""
        return self.parameters.share_top

    @computed_field  # type: ignore[prop-decorator]
    @property
    def unchanged(self) -> float:
        """As in `parameters`."""
        return self.parameters.unchanged

    @computed_field  # type: ignore[prop-decorator]
    @property
    def one_ulp(self) -> float:
        """As in `parameters`."""
        return self.parameters.one_ulp


@dataclass(frozen=True)
class DriftResult:
    """The step directory and what was found; the tables are read on demand."""

    path: Path
    found: DriftFound

    def tokens(self) -> pl.DataFrame:
        """One row per compared token: where it is, both divergences, both losses (nats)."""
        return pl.read_parquet(self.path / "tokens.parquet")

    def first_tokens(self) -> pl.DataFrame:
        """One row per level-4 test fact: the paper's KL, the ten entries and their shares."""
        return pl.read_parquet(self.path / "first_tokens.parquet")


def run_drift(
    settings: DriftSettings,
    base: str,
    tuned: str,
    facts: FactSet | None = None,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
    base_side: BaseSide | None = None,
) -> DriftResult:
    """Compare a base and a tuned model; both are names, folders or step directories, and stay as they are.

    Stores concentration.parquet and modules.parquet and, with `settings.tokens`, tokens.parquet, first_tokens.parquet
    (with a probe) and known.parquet. `progress` counts the weights read; one `base_side` for several tuned models of a
    base spares reading the texts with the base again. Raises InputError, ModelError and StepError:
    what does not fit together is named.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect import DriftSettings, run_drift
        >>> result = run_drift(DriftSettings.make(tokens=False), "pocket", str(tuned))
        >>> 0 < result.found.share_top["1"] < 1  # share of the change in the 1 % most changed weights
        True
    """
    with open_both(settings, base, tuned, asked=settings.tokens) as pair:
        settings = settings.model_copy(update={"prompt": settled(asked_for(settings), pair.tuned)})
        models = {"base": pair.base.fingerprint, "tuned": pair.tuned.fingerprint}
        asked = _read_asked(settings, base, facts, models["base"]) if settings.tokens else None
        inputs = {**models, **begin_input(pair.base.whole), **_fingerprints(asked)} if asked else models
        with open_step("drift", settings, inputs, out, root) as step:
            if not step.done:
                started = time.monotonic()
                changed = change(pair, settings.region, progress)
                step.write_table("concentration.parquet", changed.concentration)
                step.write_table("modules.parquet", changed.modules)
                tokens, notes = TokensFound(), ["the tokens were not compared (--no-tokens)"]
                if asked is not None:
                    key = fingerprint({**settings.fingerprint_values(), **inputs, "tuned": None})
                    tokens = compare_tokens(step, settings, (base, tuned), asked, base_side or BaseSide(), key)
                    notes = [asked.probe.note] if asked.probe.note else []
                    if not asked.texts:
                        notes.append("no general text was given (--text), so forgetting is measured on facts alone")
                found = DriftFound(
                    parameters=changed.found,
                    tokens=tokens,
                    notes=tuple(notes),
                    warnings=(*pair.warnings, *changed.warnings),
                    seconds=round(time.monotonic() - started, 3),
                )
                step.finish(found)
            return DriftResult(step.path, DriftFound.read(step.path))


def _read_asked(settings: DriftSettings, base: str, facts: FactSet | None, base_fingerprint: str) -> Asked:
    facts = load_facts(settings.facts) if facts is None else facts
    return Asked(facts, general_text(settings, base), _read_probe(settings, facts, base_fingerprint))


def _fingerprints(asked: Asked) -> dict[str, str | None]:
    """What a step's fingerprint says of the texts and of the probe."""
    probe = asked.probe
    templates = {name: [probe.relations[name].templates[at]] for name, at in probe.best.items()}
    return {
        "facts": asked.facts.fingerprint(),
        "text": fingerprint(asked.texts),
        "levels": None if probe.levels is None else levels_fingerprint(probe.levels),
        "templates": fingerprint(templates),
    }


def _read_probe(settings: DriftSettings, facts: FactSet, base: str) -> Probe:
    """Levels, best templates and their texts, checked against the base and the template file."""
    if settings.levels is None:
        return Probe(note="kl_paper needs the base's probe: give its step directory with --levels")
    levels = read_levels(settings.levels)
    if not settings.levels.is_dir():
        return Probe(levels, note="kl_paper needs the probe step directory, not its levels.parquet alone")
    manifest = step_input(settings.levels, "probe")
    if manifest.inputs["model"] != base:
        raise InputError(
            f"{settings.levels} is a probe of another model than the base given. Probe the base: levels and best "
            "templates belong to a model."
        )
    relations = read_relations(Path(settings.template_file) if settings.template_file else None)
    templates = pl.read_parquet(settings.levels / "templates.parquet")
    used = templates["relation"].unique().to_list()
    known = {name: list(relations[name].templates) for name in used if name in relations}
    if fingerprint(known) != manifest.inputs["templates"]:
        raise InputError(
            f"the mapping templates are not those of the probe {settings.levels}. Give the same --template-file."
        )
    note = None
    if not known_best(list(facts), levels):
        note = "the divergence of the first answer token is of level-4 test facts, and the base has none among these"
    return Probe(levels, best_templates(templates), relations, note, manifest.settings.get("prompt") == "chat")
