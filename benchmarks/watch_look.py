"""How long one look of `recollect watch` takes at a study of many finished steps: the mark (a 304), and the page anew.

    python benchmarks/watch_look.py [--models 1650] [--repeats 5]

Times are CPU seconds of this process, so that other work on the machine does not count; the folder is made first, and
looked at once.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from recollect.core.estimates import proportion
from recollect.core.workspace import open_step
from recollect.evaluate.accuracy import Accuracy
from recollect.evaluate.found import EvaluateFound
from recollect.watch.state import Watcher
from recollect.watch.view import page


def make(folder: Path, models: int) -> None:
    """An unfinished study of so many models, three steps each; steps are copied, since only their shape counts."""
    with open_step("study", {}, {}, folder) as study:
        steps = study.folder / "steps"
        with open_step("select", {"level": "random", "size": 8, "seed": 0}, {}, steps / "select-0") as step:
            step.finish({"size": 8})
        with open_step("train", {}, {}, steps / "train-0") as step:
            step.finish({"seconds": 1.0})
        with open_step("evaluate", {}, {}, steps / "evaluate-0") as step:
            step.finish(EvaluateFound(accuracy={"test": Accuracy(micro=proportion(7, 20))}))
        for number in range(1, models):
            for kind in ("select", "train", "evaluate"):
                shutil.copytree(steps / f"{kind}-0", steps / f"{kind}-{number}")


def cpu(work: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds."""
    spent = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        spent.append(time.process_time() - before)
    return statistics.median(spent)


def main() -> None:
    """Make the study, look, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1650)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        make(Path(place) / "study", given.models)
        time.sleep(4)  # a folder that has just changed is read anew at each look
        watcher = Watcher(Path(place) / "study")
        first = time.process_time()
        page(watcher.look())
        first = time.process_time() - first
        told = {"steps": 3 * given.models, "first_page": first, "mark": cpu(watcher.mark, given.repeats)}
        print(json.dumps(told | {"page": cpu(lambda: page(watcher.look()), given.repeats)}))


if __name__ == "__main__":
    main()
