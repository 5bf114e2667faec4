"""What the judges say of one real model's answers, and what they cost: accuracy by judge, microseconds an answer.

    python benchmarks/judges_real.py MODEL FACTS [--limit 100] [--prompt auto]

The model is asked once; every judge sees the same answers. Intervals are over questions. The time is processor time of
judging all answers again, the best of three, with the caches of forms warm, as in an evaluation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from recollect.core.numbers import estimate
from recollect.evaluate import EvaluateSettings, run_evaluate, stored_answers
from recollect.match import judge_of

JUDGES = "contains,word,equal,exact-match,token-f1,regex"


def main() -> None:
    """Ask, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("facts")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--prompt", default="auto")
    given = parser.parse_args()
    settings = EvaluateSettings.make(
        model=given.model,
        facts=given.facts,
        parts="test",
        limit=given.limit,
        prompt=given.prompt,
        judge=JUDGES.removesuffix(",regex"),
        max_new_tokens="auto",
    )
    with tempfile.TemporaryDirectory() as folder:
        result = run_evaluate(settings, out=Path(folder) / "asked")
        found, answers = result.found, stored_answers(result.path)
    print(f"recollect {version('recollect')} · transformers {version('transformers')} · {given.model}, {found.prompt}")
    print(f"{len(answers):,} answers of at most {found.max_new_tokens} tokens")
    print("| judge | right, % (95 %) | mean score, % | µs an answer |\n|---|---|---|---|")
    for name in JUDGES.split(","):
        judge, seconds = judge_of(name), []
        if name == "regex" and any(judge.check(one.accepted, one.asked) for one in answers):
            continue  # answers that are no patterns
        for _ in range(3):
            started = time.process_time()
            judge.judge_all(answers)
            seconds.append(time.process_time() - started)
        cost = f"{1e6 * min(seconds) / len(answers):.1f}"
        one = found.judges.get(name, {}).get("test")
        right, score = ("–", "") if one is None else (estimate(one.micro), estimate(one.score) if one.score else "")
        print(f"| {name} | {right} | {score} | {cost} |")


if __name__ == "__main__":
    main()
