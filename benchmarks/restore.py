"""Restoration against plain copying, the straightforward script and mergekit, in one run.

    python benchmarks/restore.py                     # 3e9 parameters, bf16; about 20 GB of disk
    python benchmarks/restore.py --billions 0.1      # while developing
    python benchmarks/restore.py --mergekit mk/bin/mergekit-yaml

Makes a Llama-shaped base / tuned pair (weights normal with deviation 0.02, change normal with 3e-5, as a full fine-tune
in bf16 leaves it) in several shards, and times, each in a process of its own:
(a) copying the tuned model's files and syncing them to disk;
(b) `restore` of the top 20 % of the decoder by relative change: select, write, sync, verify;
(c) at --script-billions, the script a user would write: load both, torch.topk, save; its selection is compared with
    ours;
(d) at --script-billions, mergekit's nearest operation, if its program is given: breadcrumbs on one model, which drops
    the largest |change| of each tensor; ours beside it is `--order absolute --per-tensor`.
Copying comes before and after, since other work on the machine shows in it. Files are removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import numpy as np

PIECE = 1 << 22
SHARD = 1.2e9  # bytes

TIMED = """
import json, sys, time
began = time.perf_counter()
from pathlib import Path
BODY
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
seconds, cpu = time.perf_counter() - began, time.process_time()
print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak * 1024 / 1e6}))
"""

COPY = """
import os, shutil
source, target = Path(sys.argv[1]), Path(sys.argv[2])
target.mkdir()
for file in sorted(source.iterdir()):
    shutil.copyfile(file, target / file.name)
    with open(target / file.name, "rb+") as copy:
        os.fsync(copy.fileno())
"""

OURS = """
from recollect.restore import RestoreSettings, run_restore
settings = RestoreSettings.make(percent=20, order=sys.argv[4], per_tensor=sys.argv[5] == "1")
run_restore(settings, sys.argv[1], sys.argv[2], out=Path(sys.argv[3]))
"""

SCRIPT = """
import shutil, torch
from safetensors.torch import load_file, save_file
base, tuned, target = map(Path, sys.argv[1:4])
target.mkdir()
before, after = {}, {}
for file in sorted(base.glob("*.safetensors")):
    before |= load_file(file)
for file in sorted(tuned.glob("*.safetensors")):
    after |= load_file(file)
names = [n for n in sorted(before) if ".layers." in n and "norm" not in n]
def relative(n):
    p, s = before[n].float().flatten(), after[n].float().flatten()
    return (s - p).abs() / (p.abs() + 1e-8)
scores = torch.cat([relative(n) for n in names])
chosen = torch.topk(scores, len(scores) * 20 // 100).indices
mask = torch.zeros(len(scores), dtype=torch.bool)
mask[chosen] = True
at = 0
for n in names:
    size = before[n].numel()
    part = mask[at : at + size].view(before[n].shape)
    after[n] = torch.where(part, before[n], after[n])
    at += size
save_file(after, target / "model.safetensors")
shutil.copyfile(tuned / "config.json", target / "config.json")
"""


def main() -> None:
    """Make the pair, time everything, print the figures, remove the files."""
    arguments = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="restore-", dir=arguments.folder))
    print(_versions(), f"load {os.getloadavg()[0]:.1f}", sep="\n")
    try:
        _large(folder, arguments.billions)
        if arguments.script_billions:
            _small(folder, arguments.script_billions, arguments.mergekit)
    finally:
        shutil.rmtree(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--billions", type=float, default=3.0, help="parameters of the large pair, in billions")
    parser.add_argument("--script-billions", type=float, default=0.5, help="size where the others run too; 0: not")
    parser.add_argument("--folder", type=Path, help="where to put the files; default: the temporary folder")
    parser.add_argument("--mergekit", type=Path, help="the program mergekit-yaml, from an environment of its own")
    return parser.parse_args()


def _large(folder: Path, billions: float) -> None:
    count = _make(folder, billions)
    copied = _copy(folder)
    _show(f"copying, {count / 1e9:.2f} G", copied, copied, count)
    took = _timed(OURS, folder / "base", folder / "tuned", folder / "out", "relative", "0")
    _show("ours", took, copied, count)
    shutil.rmtree(folder / "out")
    copied = _copy(folder)
    _show("copying, again", copied, copied, count)
    _remove(folder, "base", "tuned")


def _small(folder: Path, billions: float, mergekit: Path | None) -> None:
    count = _make(folder, billions)
    copied = _copy(folder)
    _show(f"copying, {count / 1e9:.2f} G", copied, copied, count)
    _show("ours", _timed(OURS, folder / "base", folder / "tuned", folder / "out", "relative", "0"), copied, count)
    _show("script", _timed(SCRIPT, folder / "base", folder / "tuned", folder / "script"), copied, count)
    _compare(folder)
    _remove(folder, "out", "script")
    if mergekit:
        took = _timed(OURS, folder / "base", folder / "tuned", folder / "out", "absolute", "1")
        _show("ours, absolute per tensor", took, copied, count)
        _show("mergekit breadcrumbs", _mergekit(folder, mergekit), copied, count)
    _remove(folder, "base", "tuned", "out", "merged")


def _copy(folder: Path) -> dict[str, float]:
    found = _timed(COPY, folder / "tuned", folder / "copy")
    shutil.rmtree(folder / "copy")
    return found


def _timed(body: str, *values: Any) -> dict[str, float]:
    os.sync()
    program = TIMED.replace("BODY", body)
    command = [sys.executable, "-c", program, *map(str, values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _show(what: str, took: dict[str, float], copied: dict[str, float], count: int) -> None:
    print(
        f"{what:28} {took['seconds']:8.1f} s  {took['seconds'] / copied['seconds']:6.2f} x copying  "
        f"{took['cpu']:7.1f} s CPU {took['peak_mb']:6.0f} MB peak {count / took['seconds'] / 1e6:5.0f} M parameters/s",
        flush=True,
    )


def _remove(folder: Path, *names: str) -> None:
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)


# -- the pair -------------------------------------------------------------------------------------------------


def _make(folder: Path, billions: float) -> int:
    """A base and a tuned model of about this size, in shards; the number of their parameters."""
    shapes = _shapes(billions)
    shards: list[list[str]] = [[]]
    held = 0
    for name in shapes:
        size = 2 * int(np.prod(shapes[name]))
        if held + size > SHARD and shards[-1]:
            shards.append([])
            held = 0
        shards[-1].append(name)
        held += size
    sides = [folder / "base", folder / "tuned"]
    layers = sum("input_layernorm" in name for name in shapes)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": layers}
    config |= {"hidden_size": shapes["model.norm.weight"][0], "vocab_size": 32_000, "tie_word_embeddings": False}
    for side in sides:
        side.mkdir()
        (side / "config.json").write_text(json.dumps(config))
    files = [f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors" for number in range(len(shards))]
    index = {name: file for file, names in zip(files, shards, strict=True) for name in names}
    for side in sides:
        (side / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    rng = np.random.default_rng(0)
    for file, names in zip(files, shards, strict=True):
        with (sides[0] / file).open("wb") as base, (sides[1] / file).open("wb") as tuned:
            _write_shard(base, tuned, {name: shapes[name] for name in names}, rng)
    return sum(int(np.prod(shape)) for shape in shapes.values())


def _shapes(billions: float) -> dict[str, tuple[int, ...]]:
    """Tensors of a Llama whose width fits the size; grouped-query attention with a quarter of the heads."""
    width, layers = (3072, 26) if billions >= 2 else (2048, 16) if billions >= 0.7 else (1024, 12)
    wide, vocabulary = width * 11 // 4, 32_000
    each = 2.5 * width * width + 3 * width * wide
    layers = max(1, round((billions * 1e9 - 2 * vocabulary * width) / each))
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, width)}
    for layer in range(layers):
        place = f"model.layers.{layer}"
        shapes |= {
            f"{place}.input_layernorm.weight": (width,),
            f"{place}.self_attn.q_proj.weight": (width, width),
            f"{place}.self_attn.k_proj.weight": (width // 4, width),
            f"{place}.self_attn.v_proj.weight": (width // 4, width),
            f"{place}.self_attn.o_proj.weight": (width, width),
            f"{place}.post_attention_layernorm.weight": (width,),
            f"{place}.mlp.gate_proj.weight": (wide, width),
            f"{place}.mlp.up_proj.weight": (wide, width),
            f"{place}.mlp.down_proj.weight": (width, wide),
        }
    return shapes | {"model.norm.weight": (width,), "lm_head.weight": (vocabulary, width)}


def _write_shard(
    base: IO[bytes], tuned: IO[bytes], shapes: dict[str, tuple[int, ...]], rng: np.random.Generator
) -> None:
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    for file in (base, tuned):
        file.write(len(text).to_bytes(8, "little") + text)
    for piece in _sizes(at // 2):
        p = rng.standard_normal(piece, np.float32) * np.float32(0.02)
        s = p + rng.standard_normal(piece, np.float32) * np.float32(3e-5)
        base.write(_bf16(p).tobytes())
        tuned.write(_bf16(s).tobytes())


def _sizes(total: int) -> Iterator[int]:
    for start in range(0, total, PIECE):
        yield min(PIECE, total - start)


def _bf16(values: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.uint16]]:
    bits = values.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return rounded.astype(np.uint16)


# -- the others -----------------------------------------------------------------------------------------------


def _compare(folder: Path) -> None:
    """Whether ours and torch.topk restored the same weights; where they differ, the scores must be tied."""
    from recollect.weights.read import Checkpoint, to_float32

    base, tuned, ours, script = (Checkpoint(folder / name) for name in ("base", "tuned", "out/model", "script"))
    differ, scores = 0, set[float]()
    for name, entry in ours.entries.items():
        odd = np.flatnonzero(ours.raw(name, 0, entry.size) != script.raw(name, 0, entry.size))
        p, s = (to_float32(side.raw(name, 0, entry.size)[odd], "BF16") for side in (base, tuned))
        scores |= set((np.abs(s - p) / (np.abs(p) + np.float32(1e-8))).tolist())
        differ += len(odd)
    if len(scores) > 1:
        sys.exit(f"ours and torch.topk chose differently: {differ} weights with {len(scores)} distinct scores")
    ties = f", but for {differ} of equal score at the threshold, where topk takes any" if differ else ""
    print(f"{'ours against torch.topk':28} the same weights{ties}", flush=True)


def _mergekit(folder: Path, program: Path) -> dict[str, float]:
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"merge_method: breadcrumbs\nbase_model: {folder / 'base'}\nmodels:\n  - model: {folder / 'tuned'}\n"
        "    parameters: {weight: 1.0, density: 0.8, gamma: 0.2}\nparameters: {normalize: false}\ndtype: bfloat16\n"
    )
    os.sync()
    began = time.perf_counter()
    log = folder / "mergekit.log"
    with log.open("wb") as output:
        child = subprocess.Popen([program, recipe, folder / "merged"], stdout=output, stderr=output)
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"mergekit did not run: {log.read_text()[-600:]}")
    seconds, cpu = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu": cpu, "peak_mb": usage.ru_maxrss * 1024 / 1e6}


def _versions() -> str:
    names = ("torch", "numpy", "safetensors", "recollect")
    cores = len(os.sched_getaffinity(0))
    return f"Python {platform.python_version()}, {', '.join(f'{n} {_version(n)}' for n in names)}, {cores} cores"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        from recollect import __version__

        return __version__ if name == "recollect" else "-"


if __name__ == "__main__":
    main()
