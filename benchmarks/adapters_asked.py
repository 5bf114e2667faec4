"""The same questions to many adapters of one base: PEFT one after another, ours one after another, ours in one batch.

    python benchmarks/adapters_asked.py --model smollm2 --facts ENTITYQUESTIONS [--adapters 16] [--questions 300]
                                        [--trained 16] [--sample 16] [--layers 20-29] [--score] [--repeats 3] [--json]

Adapters of rank 4, 8, 16 and 64 in turn on every linear layer, each trained on 60 random facts for `--epochs` epochs;
with --trained only so many are, and the others are copies of them, which are asked the same.
An answer has at most 16 tokens. The ways take turns in one process, and a ratio is the median over the turns; times are
of the processor, since other processes may share the machine; with --device cuda by the clock, in bfloat16.

PEFT, merged: each adapter loaded onto the base, merged, asked with `generate` in batches of --batch in the order of the
facts, padded on the left. PEFT, switched: all adapters loaded beside one base, `set_adapter` before each is asked.
Ours, one by one: `run_evaluate` on each folder, which loads and merges. Ours, together: `run_evaluates`, which on a
processor merges each in turn into the base in memory. Ours, in one batch: the same with every row its own adapter's
factors. All of ours with all that a step is (judged answers, tables, manifest). One after another takes as long as its
adapters together, so of these ways `--sample` adapters are measured and the time is multiplied.

With --layers the adapters are on those layers alone. "Ours, merged in turn" is then measured too (in the upper half of
the layers `run_evaluates` takes one batch by itself), and "ours, each row whole": one batch without computing once what
all adapters read alike below the first of them. With --score the facts are probed in closed form (7
templates each) instead of asked, by ours alone.

Also told: how many texts differ from those of the merged adapters (ours one by one), and from PEFT's.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from recollect.evaluate import (
    EvaluateJob,
    EvaluateResult,
    EvaluateSettings,
    asked_facts,
    run_evaluate,
    run_evaluates,
)
from recollect.facts import FactSet, load_facts
from recollect.models import ModelSettings, load
from recollect.probe import ProbeJob, ProbeResult, ProbeSettings, run_probe, run_probes
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

RANKS = (4, 8, 16, 64)
LONGEST = 16
FORMATS = {"cpu": "float32", "cuda": "bfloat16"}


class Work:
    """The adapters, the questions, and the ways to ask."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.facts: FactSet = load_facts(given.facts)
        self.base = load(ModelSettings.make(model=given.model, device=given.device, dtype=FORMATS[given.device]))
        trained = [self._trained(number) for number in range(given.trained)]
        self.adapters = [trained[number % given.trained] for number in range(given.adapters)]
        self.turn = 0

    def _trained(self, number: int) -> Path:
        folder = self.folder / f"train-{number}"
        settings = TrainSettings.make(
            model=self.given.model,
            method="lora",
            learning_rate=1e-3,
            epochs=self.given.epochs,
            batch_size=8,
            lora_r=RANKS[number % len(RANKS)],
            prompt="plain",
            seed=number,
            device=self.given.device,
            lora_layers=self.given.layers,
        )
        chosen = SelectSettings.make(level="random", size=60, seed=number)
        selection = run_select(chosen, self.facts, out=self.folder / f"select-{number}").path
        return run_train(settings, selection, out=folder, base=self.base).model_folder

    def asked(self, adapter: Path) -> EvaluateSettings:
        """How an adapter is asked."""
        return EvaluateSettings.make(
            model=str(adapter),
            parts="test",
            limit=self.given.questions,
            prompt="plain",
            batch_size=self.given.batch,
            device=self.given.device,
        )

    def probed(self, adapter: Path) -> ProbeSettings:
        """How an adapter is probed."""
        return ProbeSettings.make(
            model=str(adapter),
            parts="test",
            limit=self.given.questions,
            templates=7,
            method="closed-form",
            device=self.given.device,
        )

    def together(self, in_one_batch: bool | None = None) -> list[list[str]]:
        """Ours, as `run_evaluates` does it by itself, or in one batch."""
        out = self._out()
        if self.given.score:
            probes = [ProbeJob(self.probed(one), out / str(at), self.facts) for at, one in enumerate(self.adapters)]
            return [_said(found) for found in run_probes(probes, self.base, print, in_one_batch)]
        jobs = [EvaluateJob(self.asked(one), out / str(at), self.facts) for at, one in enumerate(self.adapters)]
        return [_said(found) for found in run_evaluates(jobs, self.base, print, in_one_batch)]

    def whole(self) -> list[list[str]]:
        """In one batch, and nothing computed once for all of them."""
        with mock.patch("recollect.generate.lower.lower_layers", return_value=None):
            return self.together(True)

    def one_by_one(self) -> list[list[str]]:
        """Ours, each loaded and merged."""
        out, some = self._out(), self.adapters[: self.given.sample]
        if self.given.score:
            return [_said(run_probe(self.probed(one), self.facts, out / str(at))) for at, one in enumerate(some)]
        return [_said(run_evaluate(self.asked(one), self.facts, out=out / str(at))) for at, one in enumerate(some)]

    def merged(self) -> list[list[str]]:
        """PEFT, each loaded and merged."""
        said = []
        for adapter in self.adapters[: self.given.sample]:
            model = self._model()
            said.append(self._generated(PeftModel.from_pretrained(model, adapter).merge_and_unload()))
        return said

    def switched(self) -> list[list[str]]:
        """PEFT, all beside one base."""
        model = self._model()
        first, *others = self.adapters
        held = PeftModel.from_pretrained(model, first, adapter_name="0")
        for number, adapter in enumerate(others, 1):
            held.load_adapter(adapter, adapter_name=str(number))
        said = []
        for number in range(self.given.sample):
            held.set_adapter(str(number))
            said.append(self._generated(held))
        return said

    def _model(self) -> Any:
        return AutoModelForCausalLM.from_pretrained(self.base.folder, dtype=FORMATS[self.given.device]).to(
            self.given.device
        )

    def _generated(self, model: Any) -> list[str]:
        tokenizer = AutoTokenizer.from_pretrained(self.base.folder, padding_side="left")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        prompts = [self.asked(self.adapters[0]).prompt_template.format(question=one) for one in self.questions]
        model.eval()
        said: list[str] = []
        for at in range(0, len(prompts), self.given.batch):
            read = tokenizer(prompts[at : at + self.given.batch], return_tensors="pt", padding=True).to(
                self.given.device
            )
            with torch.inference_mode():
                ids = model.generate(
                    **read, max_new_tokens=LONGEST, do_sample=False, pad_token_id=tokenizer.pad_token_id
                )
            said += tokenizer.batch_decode(ids[:, read["input_ids"].shape[1] :], skip_special_tokens=True)
        return said

    @property
    def questions(self) -> list[str]:
        """In the order of the facts."""
        return [fact.question for fact in asked_facts(self.asked(self.adapters[0]), self.facts)]

    def _out(self) -> Path:
        self.turn += 1
        return self.folder / f"asked-{self.turn}"


def _said(found: EvaluateResult | ProbeResult | Exception) -> list[str]:
    if isinstance(found, Exception):
        raise found
    if isinstance(found, ProbeResult):
        return [f"{score:.5f}" for score in found.levels["score"]]
    texts: list[str] = found.outputs()["output"].to_list()
    return texts


def main() -> None:
    """Measure and print; the last line of --json is one object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--facts", default="pocket")
    parser.add_argument("--adapters", type=int, default=16)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument(
        "--trained", type=int, help="adapters that are trained, at least one of each rank; all by default"
    )
    parser.add_argument("--sample", type=int, help="adapters that one after another is measured on; all by default")
    parser.add_argument("--layers", default="", help="layers with an adapter; all by default")
    parser.add_argument("--score", action="store_true", help="probe in closed form")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--device", default="cpu", choices=FORMATS)
    parser.add_argument("--batch", type=int, default=64, help="questions of PEFT's batches, and of ours one by one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.trained = min(given.trained or given.adapters, given.adapters)
    given.sample = min(given.sample or given.adapters, given.adapters)
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp())
    try:
        work = Work(given, folder)
        ways: dict[str, Callable[[], list[list[str]]]] = {
            "ours, together": work.together,
            "ours, in one batch": lambda: work.together(True),
            "ours, one by one": work.one_by_one,
        }
        if given.layers:
            ways |= {"ours, merged in turn": lambda: work.together(False), "ours, each row whole": work.whole}
        if not given.score:
            ways |= {"PEFT, merged": work.merged, "PEFT, switched": work.switched}
        clock = time.process_time if given.device == "cpu" else time.perf_counter
        if given.device != "cpu":  # what is loaded and compiled at first
            for way in ways.values():
                way()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        texts: dict[str, list[list[str]]] = {}
        for turn in range(given.repeats):
            for name, way in ways.items():
                started = clock()
                texts[name] = way()
                took = clock() - started
                some = name in ("ours, one by one", "PEFT, merged", "PEFT, switched")
                seconds[name].append(took * (given.adapters / given.sample if some else 1))
                print(f"turn {turn + 1}: {name:20} {seconds[name][-1]:8.2f} s", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ours, asked = texts["ours, together"], given.sample * len(texts["ours, one by one"][0])
    differ = {
        name: sum(
            one != other
            for mine, theirs in zip(ours, said, strict=False)
            for one, other in zip(mine, theirs, strict=True)
        )
        for name, said in texts.items()
    }
    found = {
        "seconds": seconds,
        "ratios": {
            name: median(other / one for one, other in zip(seconds["ours, together"], values, strict=True))
            for name, values in seconds.items()
        },
        "differ": differ,
        "asked": asked,
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    for name, ratio in found["ratios"].items():
        print(f"{name:20} {ratio:6.2f} x, {differ[name]} of {asked} texts differ")
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
