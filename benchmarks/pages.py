"""How often true values survive into prompts of real pages: our ranking against controls, shop by shop halves, time.

    python benchmarks/pages.py HTML_FOLDER TRUTH.json [--tokenizer FOLDER …]

Prints, by attribute and budget, the share of pages whose raw HTML holds a true value and whose prompt still does:
for the ranking, for the first lines of the page, for lines drawn by chance, and for the ranking without one of its
parts; then the ranking on the two halves of the shops; then processor time, and the estimate against tokenizers.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from recollect.attributes import occurs, read_schema
from recollect.pages import _rank as rank
from recollect.pages import estimate_tokens, read_page, tokenizer_counter
from recollect.pages._lines import Line
from recollect.pages._parse import decode
from recollect.pages._recall import read_truth
from recollect.pages._sources import find_pages
from recollect.pages._step import host_of
from recollect.statistics import wilson

BUDGETS = (256, 512, 1024, 2048, 4096, 8192)
SHOWN = ("price", "brand", "sku", "availability", "currency", "gtin")


def by_chance(lines: Sequence[Line]) -> list[float]:
    """A score that is a hash of the line's place and text."""
    return [hashlib.blake2b(f"{n}{line.text}".encode("utf-8", "replace")).digest()[0] for n, line in enumerate(lines)]


def without(part: str) -> Callable[[Sequence[Line]], list[float]]:
    """The ranking with one of its parts switched off."""

    def score(lines: Sequence[Line]) -> list[float]:
        if part == "regions":
            return rank.scores([replace(line, region=0.0) for line in lines])
        if part == "kinds":
            with patch.object(rank, "KIND_WEIGHT", defaultdict(float)):
                return rank.scores(lines)
        with patch.object(rank, {"nearness": "_nearness", "words": "_text_score"}[part], lambda *_: 0.0):
            return rank.scores(lines)

    return score


RANKINGS: dict[str, Callable[[Sequence[Line]], list[float]]] = {
    "ranking": rank.scores,
    "first lines": lambda lines: [-float(n) for n in range(len(lines))],
    "chance": by_chance,
    **{f"without {part}": without(part) for part in ("regions", "kinds", "nearness", "words")},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("html", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--tokenizer", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    truth, urls = read_truth(arguments.truth)
    schema = [attribute for attribute in read_schema("product") if attribute.name in SHOWN]
    found: dict[tuple[str, int, str, int], list[bool]] = defaultdict(list)
    seconds, texts = [], []
    for source in find_pages(arguments.html)[0]:
        data, _ = source.read(10_000_000)
        started = time.thread_time()
        page = read_page(data)
        texts.append(page.prompt(4096).text)
        seconds.append(time.thread_time() - started)
        raw = decode(data)
        half = hashlib.blake2b(host_of(urls.get(source.page_id, "")).encode()).digest()[0] % 2
        values = truth.get(source.page_id, {})
        there = [a for a in schema if any(occurs(a, value, raw) for value in values.get(a.name, ()))]
        for name, score in RANKINGS.items():
            scored = score(page.lines)
            for budget in BUDGETS:
                text = "\n".join(rank.choose(page.lines, scored, budget, estimate_tokens)[0])
                for a in there:
                    hit = any(occurs(a, value, text) for value in values[a.name])
                    found[name, budget, a.name, half].append(hit)
    for name in RANKINGS:
        show(name, found, (0, 1))
    for half in (0, 1):
        show(f"ranking, half {half} of the shops", found, (half,))
    print(f"\nprocessor seconds a page: median {statistics.median(seconds):.3f}, largest {max(seconds):.2f}")
    for folder in arguments.tokenizer:
        count = tokenizer_counter(folder)
        ratio = sorted(estimate_tokens(text) / count(text) for text in texts)
        places = (0.0, 0.05, 0.5, 0.95, 1.0)
        shown = ", ".join(f"{ratio[round(place * (len(ratio) - 1))]:.2f}" for place in places)
        print(f"estimate / {folder.name}: least, 5 %, median, 95 %, most: {shown}")


def show(title: str, found: dict[tuple[str, int, str, int], list[bool]], halves: tuple[int, ...]) -> None:
    """One table: attributes by budgets, in % of the raw HTML's ceiling."""
    print(f"\n{title}: % of the pages whose raw HTML has the value (95 % interval)")
    print(f"{'':14}{'n':>4}  " + "".join(f"{budget:>16,}" for budget in BUDGETS))
    for attribute in SHOWN:
        cells, n = [], 0
        for budget in BUDGETS:
            hits = [hit for half in halves for hit in found[title.split(",")[0], budget, attribute, half]]
            n = len(hits)
            low, high = wilson(sum(hits), n)
            share = 100 * sum(hits) / n if n else float("nan")
            cells.append(f"{share:>6.1f} ({100 * low:3.0f}–{100 * high:3.0f})")
        print(f"{attribute:14}{n:>4}  " + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
