"""What is wrong with a command's input is told before torch is loaded, which takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_RUN = """
import json, sys
from recollect.cli.main import main

heavy = ("torch", "transformers", "optuna", "scipy", "sklearn")
for words in json.loads(sys.argv[1]):
    sys.argv = ["recollect", *words]
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code
    print(json.dumps([code, [name for name in heavy if name in sys.modules]]), flush=True)
"""
_ROWS = "question,answer\n" + "".join(f"what is {at}?,{at}\n" for at in range(5))


def _said(folder: Path, *commands: tuple[str, ...]) -> list[tuple[int, list[str], str]]:
    """Exit code, what was loaded by then, and the last line of each, run one after the other in one process."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(commands)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1"},
        check=True,
        timeout=120,
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return [(code, loaded, error) for (code, loaded), error in zip(answers, errors, strict=True)]


def test_a_wrong_path_model_or_table_is_told_before_torch_is_loaded(tmp_path: Path):
    (tmp_path / "five.csv").write_text(_ROWS, encoding="utf-8")
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    wanted: list[tuple[tuple[str, ...], str]] = [
        (("fit", "--yes", "--data", "nowhere.csv"), "nowhere.csv"),
        (("fit", "--yes", "--data", "five.csv"), "the data has 5 questions"),
        (("fit", "--yes", "--data", "wrong.csv"), "wrong.csv"),
        (("fit", "--yes", "--model", "./no-model"), "no-model"),
        (("fit", "--yes", "--model", "empty"), "empty"),
    ]
    for command in ("study", "curve", "evaluate"):
        wanted += [
            ((command, "--facts", "nowhere.csv"), "nowhere.csv"),
            ((command, "--facts", "pocket", "--model", "./no-model"), "no-model"),
        ]
    wanted += [
        (("study", "--facts", "wrong.csv"), "wrong.csv"),
        (("curve", "--facts", "five.csv"), "more training examples"),
        (("train", "--model", "pocket", "--selection", "nowhere"), "nowhere"),
        (("train", "--model", "pocket", "--data", "nowhere.jsonl"), "nowhere.jsonl"),
        (("compare", "pocket", "./no-model"), "no-model"),
        (("compare", "pocket", "pocket", "--facts", "nowhere.csv"), "nowhere.csv"),
        (("search", "--facts", "nowhere.csv"), "nowhere.csv"),
        (("search", "--model", "./no-model"), "no-model"),
    ]
    found = _said(tmp_path, *(command for command, _ in wanted))
    for (command, said), (code, loaded, error) in zip(wanted, found, strict=True):
        assert code == 2, command
        assert said in error, command
        assert not loaded, command
