"""The main job through the Python API: what does the base know, and do 60 facts of a level beat random ones?

Run as it stands: python examples/main_job.py [folder]
"""

import sys
from pathlib import Path

import recollect as r

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "recollect-runs/main-job")
facts = r.load_facts("pocket")
base = r.load_model(r.ModelSettings.make(model="pocket"))
probe = r.run_probe(r.ProbeSettings.make(), facts, folder / "probe", loaded=base)
for level in ("3", "random"):
    selection = r.run_select(
        r.SelectSettings.make(level=level, size=60), facts, probe.levels, out=folder / f"select-{level}"
    )
    trained = r.run_train(
        r.TrainSettings.make(preset="pocket"), selection.path, out=folder / f"train-{level}", base=base
    )
    asked = r.EvaluateSettings.make(model=trained.path)
    scores = r.run_evaluate(asked, facts, probe.levels, out=folder / f"evaluate-{level}")
    if macro := scores.found.accuracy["test"].macro:
        value, low, high = macro.percent
        print(f"60 facts, {level:>6}: macro {value:.1f} % ({low:.1f} to {high:.1f})")
