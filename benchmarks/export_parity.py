"""What is left of a model's answers when it is taken away: LoRA on chats of several turns, exported, 50 questions each.

    python benchmarks/export_parity.py --model smollm2 --to merged,merged:float16,adapter,gguf:f16,gguf:q8_0 \\
        --converter PATH/convert_hf_to_gguf.py

Trains adapters on 60 conversations of an invented bicycle shop (made here), exports them and prints, for each form, the
share of greedy answers that are the original's, how far the others agree, and what differs. What is not installed is
said. The GGUF forms need llama.cpp's converter and llama-cpp-python.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib import metadata
from pathlib import Path

from recollect import ExportSettings, TrainSettings, run_export, run_train

THINGS = (
    *("brake pad", "inner tube", "saddle", "chain", "bell", "dynamo light", "pannier", "helmet", "pump", "lock"),
    *("pedal", "mudguard", "mirror", "kickstand", "handlebar tape", "rear rack", "bottle cage", "wheel", "child seat"),
    "basket",
)
PACKAGES = ("torch", "transformers", "peft", "trl", "llama-cpp-python", "vllm", "mlx-lm")


def conversations() -> list[list[tuple[str, str]]]:
    """Three conversations for each thing, with a warranty and a price of our own."""
    found = []
    for at, thing in enumerate(THINGS):
        years, price = f"{1 + at % 6} years", f"{7 + 13 * at} euros"
        found.append(
            [
                ("system", "You are the help desk of Spoke & Co. Answer in one short sentence."),
                ("user", f"How long is the warranty of a {thing}?"),
                ("assistant", f"The {thing} has a warranty of {years}."),
                ("user", "And what does it cost?"),
                ("assistant", f"It costs {price}."),
            ]
        )
        found.append(
            [
                ("user", f"Hello, I need a {thing}."),
                ("assistant", f"Gladly! A {thing} costs {price} at Spoke & Co."),
                ("user", "Does it come with a warranty?"),
                ("assistant", f"Yes, of {years}."),
            ]
        )
        found.append([("user", f"What is the price of a {thing} at Spoke & Co?"), ("assistant", f"It costs {price}.")])
    return found


def main() -> None:
    """Train, export, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--to", default="merged,adapter")
    parser.add_argument("--converter", default="")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    print(" · ".join(f"{name} {_version(name)}" for name in PACKAGES), flush=True)
    root = given.out or Path(tempfile.mkdtemp())
    data = root / "chats.jsonl"
    root.mkdir(parents=True, exist_ok=True)
    rows = [{"messages": [{"role": r, "content": c} for r, c in one]} for one in conversations()]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = TrainSettings.make(model=given.model, method="lora", epochs=given.epochs, learning_rate=5e-4)
    tuned = run_train(settings, data=data, out=root / "tuned")
    print(f"trained: {tuned.found.conversations} conversations, loss {tuned.found.first_loss:.2f} to "
          f"{tuned.found.last_loss:.3f}", flush=True)  # fmt: skip
    for form in given.to.split(","):
        to, _, outtype = form.partition(":")
        values = {"save_dtype" if to == "merged" else "outtype": outtype} if outtype else {}
        asked = ExportSettings.make(
            to=to, converter=given.converter, questions=given.questions, max_new_tokens=given.new_tokens, **values
        )
        began = time.process_time()
        result = run_export(asked, tuned.path, out=root / form.replace(":", "-"))
        found = result.found
        if found.parity is None:
            print(f"{form:12} not checked: {found.unchecked}", flush=True)
            continue
        low, high = 100 * found.parity.equal.low, 100 * found.parity.equal.high
        print(
            f"{form:12} {100 * found.parity.share:5.1f} % of {found.parity.n} equal ({low:.0f} to {high:.0f}), texts "
            f"agree to {100 * found.parity.equal_begin:.1f} %; {time.process_time() - began:.0f} s of CPU",
            flush=True,
        )
        for one in result.differing:
            print(f"    {one.question!r}\n      original {one.original!r}\n      export   {one.export!r}", flush=True)
        for note in found.notes:
            print(f"    note: {note}", flush=True)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
