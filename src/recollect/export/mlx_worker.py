"""A process that asks a folder through mlx-lm: prompts as token ids on stdin (JSON), the greedy answers on stdout."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Answer what stands on stdin."""
    from mlx_lm import generate, load  # type: ignore[import-not-found, unused-ignore]

    asked = json.load(sys.stdin)
    model, tokenizer = load(asked["path"])
    answers = [
        generate(model, tokenizer, prompt=ids, max_tokens=int(asked["max_new_tokens"])) for ids in asked["prompts"]
    ]
    sys.stdout.write("\n" + json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
