"""Benchmarks are run by hand, so that nothing else would tell when one of them has lost what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
IMPORT_ALL = """
import importlib, pathlib, sys
sys.path.insert(0, sys.argv[1])
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    importlib.import_module(path.stem)
    print(path.stem)
"""


def test_every_benchmark_can_be_imported() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(FOLDER)], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == sorted(path.stem for path in FOLDER.glob("*.py"))
