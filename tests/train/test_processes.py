"""Several processes train one model: two on the CPU, as torchrun starts them (torch's gloo)."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys
from pathlib import Path
import torch
from recollect.train import TrainResult, TrainSettings, run_train, run_train_until

base, selection, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
first = os.environ["RANK"] == "0"
settings = TrainSettings(model=base, device="cpu", method="lora", learning_rate=5e-3, epochs=2, save_every=1)
told = []


def note(name, run):
    updates = []
    ended = run(progress=lambda done, total: updates.append(done))
    if isinstance(ended, TrainResult):
        kept = ended.model_folder.is_dir(), ended.found.steps
    else:
        kept = str(ended.model_folder.relative_to(out)), ended.step, ended.steps, len(ended.log)
    told.append([name, updates, *kept])


note("whole", lambda **how: run_train(settings, selection, out=out / "whole", **how))
for name in ("paused", "paused again"):
    note(name, lambda **how: run_train_until(settings, selection, 0.3, out=out / "cut", **how))
if first:
    checkpoint = out / "cut.partial/parts/checkpoint-3/optimizer.pt"
    data = bytearray(checkpoint.read_bytes())
    data[len(data) // 2] ^= 4
    checkpoint.write_bytes(data)
torch.distributed.barrier()
note("resumed", lambda **how: run_train_until(settings, selection, 0.6, out=out / "cut", **how))
note("finished", lambda **how: run_train(settings, selection, out=out / "cut", **how))
note("found", lambda **how: run_train(settings, selection, out=out / "cut", **how))
(out / f"told-{os.environ['RANK']}.json").write_text(json.dumps(told))
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_train_pause_and_resume_as_one(base_folder, selection, tmp_path):
    """Both are told alike what became of it; the first alone reports updates, a damaged checkpoint is of no process."""
    (tmp_path / "program.py").write_text(PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    arguments = [str(place) for place in (tmp_path / "program.py", base_folder, selection, tmp_path)]
    ran = subprocess.run([*launcher, *arguments], env=os.environ, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    first, other = (json.loads((tmp_path / f"told-{rank}.json").read_text()) for rank in (0, 1))
    assert first == [
        ["whole", list(range(1, 11)), True, 10],
        ["paused", [1, 2, 3], "cut.partial/parts/checkpoint-3", 3, 10, 3],
        ["paused again", [], "cut.partial/parts/checkpoint-3", 3, 10, 3],
        ["resumed", [1, 2, 3, 4, 5, 6], "cut.partial/parts/checkpoint-6", 6, 10, 6],
        ["finished", [7, 8, 9, 10], True, 10],
        ["found", [], True, 10],
    ]
    assert other == [[name, [], *told] for name, _, *told in first]
    for name in ("model/adapter_model.safetensors", "log.parquet"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
