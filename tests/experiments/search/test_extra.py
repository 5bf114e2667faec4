"""Without the extra `search` the rest works, and a search says in one line what it needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_BLOCKED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("optuna", "sklearn"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Code in a process of its own where neither optuna nor scikit-learn can be imported."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", _BLOCKED + code], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize(
    "code",
    [
        "import recollect\n[getattr(recollect, name) for name in {*recollect.__all__} - {'run_search', 'run_fit'}]",
        "from recollect import Space\nassert Space.of('epochs: [1, 2]').contains({'epochs': 1})",
        "from recollect.experiments.search import SearchSettings\nSearchSettings.make(trials=4).plan()",
    ],
)
def test_nothing_but_a_search_needs_the_extra(code: str) -> None:
    ran = run(code)
    assert ran.returncode == 0, ran.stderr


def test_a_search_without_its_extra_is_one_line_that_names_it() -> None:
    ran = run("from recollect.cli.main import main\nsys.argv = ['recollect', 'search', '--trials', '2']\nmain()")
    assert ran.returncode == 2
    last = ran.stderr.strip().splitlines()[-1]
    assert "recollect search needs optuna, which is not installed: pip install 'recollect[search]'" in last
    assert "Traceback" not in ran.stderr


def test_a_fit_without_the_extra_of_its_search_is_one_line_that_names_it() -> None:
    ran = run("from recollect.cli.main import main\nsys.argv = ['recollect', 'fit', '--yes']\nmain()")
    assert ran.returncode == 2
    assert "recollect fit needs optuna, which is not installed" in ran.stderr.strip().splitlines()[-1]
