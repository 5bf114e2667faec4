"""Many adapters of one base probed at once: each its own step, what they ask answered in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.engines import FoundModel
from recollect.facts import FactSet
from recollect.models import LoadedModel
from recollect.probe.settings import ProbeSettings
from recollect.probe.step import ProbeResult, run_probe
from recollect.probe.work import Progress
from recollect.together import Asking, ask_together

if TYPE_CHECKING:
    from recollect.models.stacked import Factors


@dataclass(frozen=True)
class ProbeJob:
    """One probe among many: what `run_probe` takes.

    Examples:
        >>> from pathlib import Path
        >>> from recollect import ProbeJob, ProbeSettings
        >>> ProbeJob(ProbeSettings.make(model="adapters/first", limit=20), Path("probes/first")).factors is None
        True
    """

    settings: ProbeSettings
    """`model` names the adapter's folder."""
    out: Path
    facts: FactSet | None = None
    factors: Factors | None = None
    """The adapter's factors, where they are in memory; else they are read from its folder."""
    progress: Progress | None = None


def run_probes(
    jobs: Sequence[ProbeJob],
    base: LoadedModel,
    tell: Callable[[str], None] | None = None,
    in_one_batch: bool | None = None,
) -> list[ProbeResult | Exception]:
    """Probe adapters of `base` that is in memory; the results in their order, or the errors that they raised.

    As `run_evaluates` for evaluations: each is its own step, with the files and the fingerprint of `run_probe`. Draws
    keep their addresses, so they are those of each adapter alone, but where a number at the edge of two tokens is
    rounded otherwise.

    Examples:
        `chosen` is the folder of a `run_select`.

        >>> from pathlib import Path
        >>> from recollect import ModelSettings, ProbeJob, ProbeSettings, TrainSettings
        >>> from recollect import load_model, run_probes, run_train
        >>> how = TrainSettings.make(method="lora", max_steps=1)
        >>> tuned = [run_train(how.model_copy(update={"seed": seed}), chosen).path for seed in (0, 1)]
        >>> asked = [ProbeSettings.make(model=str(one), limit=20, templates=2) for one in tuned]
        >>> jobs = [ProbeJob(one, Path(f"probe-{seed}")) for seed, one in enumerate(asked)]
        >>> found = run_probes(jobs, load_model(ModelSettings.make(model="pocket")))
        >>> [one.levels.height for one in found]
        [20, 20]
    """
    return ask_together(
        base, [Asking(job.settings, partial(_run, job), job.factors) for job in jobs], tell, in_one_batch
    )


def _run(job: ProbeJob, model: FoundModel | None, loaded: LoadedModel | None) -> ProbeResult:
    return run_probe(job.settings, job.facts, job.out, progress=job.progress, loaded=loaded, model=model)
