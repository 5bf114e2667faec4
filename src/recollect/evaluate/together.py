"""Many adapters of one base evaluated at once: each its own step, all of their questions in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recollect.engines import FoundModel
from recollect.evaluate.run import EvaluateResult, run_evaluate
from recollect.evaluate.settings import EvaluateSettings
from recollect.facts import FactSet
from recollect.models import LoadedModel
from recollect.together import Asking, ask_together

if TYPE_CHECKING:
    from recollect.models.stacked import Factors

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EvaluateJob:
    """One evaluation among many: what `run_evaluate` takes.

    Examples:
        >>> from pathlib import Path
        >>> from recollect import EvaluateJob, EvaluateSettings
        >>> EvaluateJob(EvaluateSettings.make(model="adapters/first", limit=20), Path("scores/first")).factors is None
        True
    """

    settings: EvaluateSettings
    """`model` names the adapter's folder."""
    out: Path
    facts: FactSet | None = None
    levels: pl.DataFrame | None = None
    factors: Factors | None = None
    """The adapter's factors, where they are in memory; else they are read from its folder."""
    progress: Progress | None = None


def run_evaluates(
    jobs: Sequence[EvaluateJob],
    base: LoadedModel,
    tell: Callable[[str], None] | None = None,
    in_one_batch: bool | None = None,
) -> list[EvaluateResult | Exception]:
    """Evaluate adapters of `base` that is in memory; the results in their order, or the errors that they raised.

    Each is its own step with the files and the fingerprint of `run_evaluate`, resumes as that does, and is not asked
    again where it is finished. What cannot be asked beside others (a whole model, DoRA, another base, …) is asked by
    itself, and `tell` is told why.

    base: the untouched base, on the device and in the number format in which the adapters are asked (float32 on a CPU);
    afterwards it is as it was. in_one_batch: whether all questions are rows of one batch, each with its own adapter's
    factors (None: on a GPU, and where all adapters are in the upper half of the layers), or the adapters are merged
    into the base one after another, which on a processor is faster otherwise.

    Examples:
        `chosen` is the folder of a `run_select`.

        >>> from pathlib import Path
        >>> from recollect import EvaluateJob, EvaluateSettings, ModelSettings, TrainSettings
        >>> from recollect import load_model, run_evaluates, run_train
        >>> how = TrainSettings.make(method="lora", max_steps=1)
        >>> tuned = [run_train(how.model_copy(update={"seed": seed}), chosen).path for seed in (0, 1)]
        >>> asked = [EvaluateSettings.make(model=str(one), parts="test", limit=20) for one in tuned]
        >>> jobs = [EvaluateJob(one, Path(f"scores-{seed}")) for seed, one in enumerate(asked)]
        >>> found = run_evaluates(jobs, load_model(ModelSettings.make(model="pocket")))
        >>> [one.found.accuracy["test"].n for one in found]
        [20, 20]
    """
    askings = [Asking(job.settings, partial(_run, job, tell), job.factors) for job in jobs]
    return ask_together(base, askings, tell, in_one_batch)


def _run(
    job: EvaluateJob,
    tell: Callable[[str], None] | None,
    model: FoundModel | None,
    loaded: LoadedModel | None,
) -> EvaluateResult:
    return run_evaluate(
        job.settings,
        job.facts,
        job.levels,
        out=job.out,
        progress=job.progress,
        loaded=loaded,
        model=model,
        tell=tell,
    )
