"""One small fit on the pocket, run once; every test asks it something else."""

import pytest

from helpers_fit import TINY, world
from recollect.experiments.fit import FitResult, FitSettings, run_fit


@pytest.fixture(scope="module", name="fitted")
def _fitted(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    folder = tmp_path_factory.mktemp("fit")
    settings = FitSettings.make(budget="3 trials", seeds=2, **TINY)
    return run_fit(settings, folder / "small", facts=world())
