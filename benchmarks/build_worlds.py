"""Bases of their own for worlds: many at once, each by the public builder with its world's seed, packed into one file.

    python benchmarks/build_worlds.py --kind quiz,shop --seeds 201,202,203,204,205 --out FOLDER --jobs 10 --threads 1

Facts, pages, text and starting weights are all drawn by the seed, as `recollect pocket build` and `recollect pocket
shop` do. Every world is built in a process of its own: OUT/worlds/KIND-SEED is its step, with the model and what can
be asked of it. At the end OUT/worlds-KIND.tar.gz holds them. A GPU is taken where torch sees one, also by all processes
at once (`--device cpu` forbids it). After `--seconds` what is not finished is stopped; what is, is packed. A build that
was stopped goes on from its last checkpoint when the command is given again. `--set` changes the builder's settings,
as in `--set documents=1000` for a quick try.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from unittest.mock import patch

BUILDERS = ("quiz", "shop")


def build(kind: str, seed: int, folder: Path, changes: dict[str, str]) -> None:
    """One world, in this process; says every tenth of its steps."""
    import torch

    from recollect.worlds.builder import BaseResult
    from recollect.worlds.quiz import PocketSettings, run_pocket
    from recollect.worlds.shop import ShopSettings, run_shop

    began, said = time.monotonic(), [0]

    def progress(done: int, of: int) -> None:
        if 10 * done // of > said[0]:
            said[0] = 10 * done // of
            print(f"{folder.name}: step {done:,} of {of:,}, {time.monotonic() - began:.0f} s", flush=True)

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    made: BaseResult
    if kind == "quiz":
        made = run_pocket(PocketSettings.make(seed=seed, **changes), out=folder, progress=progress)
    else:  # the extra `pages` reads and judges pages; building a base takes nothing of it, and this machine may lack it
        with patch("recollect.worlds.shop.step.need_pages"):
            made = run_shop(ShopSettings.make(seed=seed, **changes), folder, progress=progress)
    device = "GPU" if torch.cuda.is_available() else "CPU"
    found = made.found
    print(
        f"{folder.name}: done, {found.steps:,} steps on the {device}, {found.seconds:.0f} s, "
        f"mean loss {found.mean_loss:.3f}, last loss {found.final_loss}, "
        f"train {found.train}, test {found.test}, ood {found.ood}",
        flush=True,
    )


def start(kind: str, seed: int, given: argparse.Namespace) -> subprocess.Popen[bytes]:
    """The process that builds one world."""
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if given.device == "cpu" else {}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), str(given.threads))
    command = [sys.executable, __file__, "--one", f"{kind}-{seed}", "--out", str(given.out), "--set", given.set]
    return subprocess.Popen(command, env={**os.environ, **threads, **hidden, "HF_HUB_OFFLINE": "1"})


def build_all(wanted: list[tuple[str, int]], given: argparse.Namespace) -> list[str]:
    """The names of the worlds that were finished; `--jobs` at once, the longest kind first."""
    until = time.monotonic() + given.seconds
    waiting = sorted(wanted, key=lambda one: one[0] != "shop")
    running: dict[str, subprocess.Popen[bytes]] = {}
    finished = []
    while (waiting or running) and time.monotonic() < until:
        while waiting and len(running) < given.jobs:
            kind, seed = waiting.pop(0)
            running[f"{kind}-{seed}"] = start(kind, seed, given)
        for name in [name for name, process in running.items() if process.poll() is not None]:
            code = running.pop(name).returncode
            finished += [name] if code == 0 else []
            if code:
                print(f"{name}: FAILED, exit code {code}", flush=True)
        time.sleep(0.2)
    for name, process in running.items():
        process.terminate()
        print(f"{name}: stopped, {given.seconds:.0f} s are over", flush=True)
    return finished


def pack(kind: str, names: list[str], out: Path) -> None:
    """One file with the worlds of a kind, as KIND-SEED folders."""
    path = out / f"worlds-{kind}.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for name in names:
            packed.add(out / "worlds" / name, arcname=name)
    print(f"{path}: {len(names)} worlds, {path.stat().st_size / 2**20:.1f} MiB", flush=True)


def main() -> None:
    """Build, pack."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", default="quiz,shop", help="quiz, shop, or both with a comma")
    parser.add_argument("--seeds", default="201,202,203,204,205")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=5, help="processes at once")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--seconds", type=float, default=500, help="after which what is not finished is stopped")
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--set", default="", help="settings of the builder, name=value,name=value")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        kind, _, seed = given.one.rpartition("-")
        changes = dict(one.split("=", 1) for one in given.set.split(",") if one)
        build(kind, int(seed), given.out / "worlds" / given.one, changes)
        return
    began, kinds = time.monotonic(), given.kind.split(",")
    if unknown := set(kinds) - set(BUILDERS):
        parser.error(f"--kind must be of {', '.join(BUILDERS)}, but got {', '.join(sorted(unknown))}")
    wanted = [(kind, int(seed)) for kind in kinds for seed in given.seeds.split(",")]
    finished = build_all(wanted, given)
    for kind in kinds:
        pack(kind, sorted(name for name in finished if name.startswith(f"{kind}-")), given.out)
    print(f"{len(finished)} of {len(wanted)} worlds in {time.monotonic() - began:.0f} s", flush=True)
    sys.exit(0 if len(finished) == len(wanted) else 1)


if __name__ == "__main__":
    main()
