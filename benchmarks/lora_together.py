"""Many LoRA trainings on one base: TRL one after another, ours one after another, and ours in one pass.

    python benchmarks/lora_together.py --model smollm2 --facts ENTITYQUESTIONS [--count 16] [--examples 240]
                                       [--repeats 3] [--sample 4] [--grow 4,8,16,32] [--json]

A training is `--examples` random facts for one epoch in batches of 8; ranks are 4, 8, 16 and 64 in turn, rates, seeds
and alphas differ, adapters are on every linear layer with a dropout of 0.1. The ways take turns in one process, and a
ratio is the median over the turns. Times are of the processor, since other processes may share the machine; with
--device cuda by the clock, all ways computing in bfloat16 with float32 weights.

TRL is a plain script around `SFTTrainer` with a LoraConfig: its own tokenisation of prompt and completion, its default
collator, the same number format, no checkpoints, no activations computed again. One after another takes as long as its
trainings together, so `--sample` of them (one of each rank) are measured and the time is multiplied.

The arithmetic of the work: multiplications that no way can do without (forward and backward through the frozen layers,
the factors and their gradients, logits where an answer stands; without padding), at the rate of a large product that
is measured in every turn.

--grow measures the pass at other numbers of trainings, with 60 examples each: time and memory for one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import datasets
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from recollect.chat.asking import Asking
from recollect.facts import FactsSettings, load_facts, run_facts
from recollect.models import LoadedModel, ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train
from recollect.train.stack import TrainJob, run_trains

RANKS = (4, 8, 16, 64)
BATCH = 8


class Work:
    """The trainings, and the ways to do them."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.folder, self.base = folder, load(ModelSettings.make(model=given.model, device=given.device))
        if given.facts is None:
            self.facts = load_facts("pocket")
        else:
            read = FactsSettings.make(path=given.facts, limit_per_relation=30)
            self.facts = run_facts(read, out=folder / "facts").facts
        self.name, self.device = given.model, given.device
        self.selections: dict[tuple[int, int], Path] = {}
        self.turn = 0

    def selection(self, examples: int, seed: int) -> Path:
        """Random facts."""
        if (examples, seed) not in self.selections:
            settings = SelectSettings.make(level="random", size=examples, seed=seed)
            out = self.folder / f"sel-{examples}-{seed}"
            self.selections[examples, seed] = run_select(settings, self.facts, out=out).path
        return self.selections[examples, seed]

    def settings(self, number: int) -> TrainSettings:
        """Of one training."""
        return TrainSettings.make(
            model=self.name,
            method="lora",
            learning_rate=(1 + number % 3) * 5e-4,
            epochs=1.0,
            batch_size=BATCH,
            lora_r=RANKS[number % len(RANKS)],
            lora_alpha=16.0 * (1 + number % 2),
            lora_dropout=0.1,
            prompt="plain",
            seed=number,
            device=self.device,
        )

    def job(self, number: int, examples: int) -> TrainJob:
        """The same with its data, to be done anew."""
        self.turn += 1
        out = self.folder / "out" / str(self.turn)
        return TrainJob(self.settings(number), self.selection(examples, number % 4), out=out)

    def pass_together(self, count: int, examples: int) -> None:
        """Ours in one pass."""
        for found in run_trains([self.job(number, examples) for number in range(count)], base=self.base):
            if isinstance(found, Exception):
                raise found

    def one_by_one(self, count: int, examples: int) -> None:
        """Ours one after another."""
        for number in range(count):
            job = self.job(number, examples)
            run_train(job.settings, job.selection, out=job.out, base=self.base)

    def trl(self, count: int, examples: int) -> None:
        """TRL one after another."""
        for number in range(count):
            self.turn += 1
            train_with_trl(self.base, self.settings(number), self.pairs(number, examples), self.folder / "trl")

    def pairs(self, number: int, examples: int) -> list[dict[str, str]]:
        """Prompt and completion of each fact, as ours have them."""
        import polars as pl

        rows = pl.read_parquet(self.selection(examples, number % 4) / "selection.parquet")
        asking = Asking.of(self.settings(number))
        prompts = [asking.template.format(question=question) for question in rows["question"]]
        return [
            {"prompt": prompt, "completion": f" {answer}"}
            for prompt, answer in zip(prompts, rows["object"], strict=True)
        ]


def train_with_trl(base: LoadedModel, settings: TrainSettings, pairs: list[dict[str, str]], out: Path) -> None:
    """A plain script: load, train, save."""
    torch.manual_seed(settings.seed)
    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32)
    config = SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=float(settings.epochs),
        learning_rate=float(settings.learning_rate),
        lr_scheduler_type="cosine",
        bf16=base.device != "cpu",
        use_cpu=base.device == "cpu",
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=settings.seed,
    )
    lora = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=datasets.Dataset.from_list(pairs),
        processing_class=AutoTokenizer.from_pretrained(base.folder),
        peft_config=lora,
    )
    trainer.train()
    trainer.save_model(str(out))
    shutil.rmtree(out)


def arithmetic(work: Work, count: int, examples: int) -> float:
    """Floating-point operations of the trainings: see above."""
    model, total = work.base.model, 0.0
    linear = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m is not model.lm_head]
    frozen = sum(module.weight.numel() for module in linear)
    sides = sum(module.in_features + module.out_features for module in linear)
    head = model.lm_head.weight.numel()
    for number in range(count):
        texts = work.pairs(number, examples)
        prompts = sum(len(work.base.tokenizer(text["prompt"])["input_ids"]) for text in texts)
        answers = sum(len(work.base.tokenizer(text["completion"])["input_ids"]) + 1 for text in texts)
        rank = RANKS[number % len(RANKS)]
        total += (prompts + answers) * (4 * frozen + 6 * rank * sides) + 4 * head * answers
    return total


def now(device: str) -> float:
    """Seconds of the processor; for a GPU by the clock, when it has done what it was told."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def product_rate(width: int, device: str) -> float:
    """Floating-point operations a second in large products."""
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    left = torch.randn(2048, width, device=device, dtype=dtype)
    right = torch.randn(width, 4 * width, device=device, dtype=dtype)
    seconds = []
    for _ in range(5):
        began = now(device)
        for _ in range(4):
            left @ right
        seconds.append(now(device) - began)
    return 4 * 2 * 2048 * width * 4 * width / median(seconds)


def timed(way: Callable[[int, int], None], count: int, examples: int, device: str) -> float:
    """See `now`."""
    began = now(device)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        way(count, examples)
    return now(device) - began


def compare(given: argparse.Namespace, work: Work) -> dict[str, object]:
    """The three ways in turn."""
    width, sample = int(work.base.model.config.hidden_size), min(given.sample, given.count)
    more = given.count / sample
    seconds: dict[str, list[float]] = {"pass": [], "one by one": [], "trl": [], "arithmetic": []}
    operations = arithmetic(work, given.count, given.examples)
    timed(work.pass_together, 2, BATCH, work.device)  # what is loaded and compiled at first
    timed(work.one_by_one, 1, BATCH, work.device)
    timed(work.trl, 1, BATCH, work.device)
    for turn in range(given.repeats):
        seconds["arithmetic"].append(operations / product_rate(width, work.device))
        seconds["pass"].append(timed(work.pass_together, given.count, given.examples, work.device))
        seconds["one by one"].append(more * timed(work.one_by_one, sample, given.examples, work.device))
        seconds["trl"].append(more * timed(work.trl, sample, given.examples, work.device))
        shutil.rmtree(work.folder / "out")
        said = ", ".join(f"{way} {values[-1]:.1f} s" for way, values in seconds.items())
        print(f"turn {turn + 1}: {said}", flush=True)
    ratio = {
        way: median(other / own for own, other in zip(seconds["pass"], values, strict=True))
        for way, values in seconds.items()
    }
    return {"seconds": seconds, "ratio": ratio}


def held(device: str) -> float:
    """KiB of the device's memory that were held at most so far."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return torch.cuda.max_memory_allocated() / 1024


def grow(given: argparse.Namespace, work: Work) -> list[dict[str, float]]:
    """The pass with more and more trainings, and one by one beside each."""
    rows = []
    for count in [int(number) for number in given.grow.split(",")]:
        before = held(work.device)
        together = timed(work.pass_together, count, 60, work.device)
        peak = held(work.device)
        alone = timed(work.one_by_one, min(given.sample, count), 60, work.device) / min(given.sample, count)
        shutil.rmtree(work.folder / "out")
        row = {"count": count, "seconds_each": together / count, "ratio": alone * count / together}
        rows.append(row | {"peak_mib": peak / 1024, "new_mib": (peak - before) / 1024})
        print(", ".join(f"{name} {value:.2f}" for name, value in rows[-1].items()), flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--facts", type=Path, help="EntityQuestions; without it the pocket's own facts")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--examples", type=int, default=240)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sample", type=int, default=4)
    parser.add_argument("--grow", help="numbers of trainings, separated by commas")
    parser.add_argument("--device", default="cpu", help="cuda: by the clock, in mixed precision")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Work(given, Path(folder))
        found = {"rows": grow(given, work)} if given.grow else compare(given, work)
    print(json.dumps({"model": given.model, "count": given.count, "examples": given.examples, **found}))


if __name__ == "__main__":
    main()
