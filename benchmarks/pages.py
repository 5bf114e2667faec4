"""Real product pages: what survives into prompts, in what time, and how other systems score on the same pages.

    python benchmarks/pages.py --data FOLDER [--tokenizer FOLDER …]

FOLDER holds html/, ground-truth.json and, for the table of systems, peers/*.json (values by page).

1. By attribute and budget, the share of pages whose raw HTML holds a true value and whose prompt still does: for the
   ranking, for the first lines of the page, for lines drawn by chance, for the ranking without one of its parts, and
   for the ranking on the two halves of the shops (the weights were chosen on half 0).
2. Right values, precision and F1 of the pages' own schema.org data and of every peer, by the scorer of `evaluate`.
3. Processor time of a page, and the estimate of tokens against real tokenizers.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from recollect.core.estimates import Estimate, proportion
from recollect.errors import InputError
from recollect.extraction.html import estimate_tokens, read_page, tokenizer_counter
from recollect.extraction.html import prompt as rank
from recollect.extraction.html.lines import Line
from recollect.extraction.html.parse import decode
from recollect.extraction.html.recall import read_truth
from recollect.extraction.html.sources import find_pages
from recollect.extraction.html.step import host_of
from recollect.extraction.labels import schema_org_values
from recollect.extraction.values import occurs, read_schema, read_values, score_values

BUDGETS = (256, 512, 1024, 2048, 4096, 8192)
SHOWN = ("price", "brand", "sku", "availability", "currency", "gtin")
Found = dict[tuple[str, int, str, int], list[bool]]  # ranking, budget (0: raw HTML), attribute, half of the shops


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
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    texts = survival(arguments.data)
    systems(arguments.data)
    for folder in arguments.tokenizer:
        count = tokenizer_counter(folder)
        ratio = sorted(estimate_tokens(text) / count(text) for text in texts)
        places = (0.0, 0.05, 0.5, 0.95, 1.0)
        shown = ", ".join(f"{ratio[round(place * (len(ratio) - 1))]:.2f}" for place in places)
        print(f"estimate / {folder.name}: least, 5 %, median, 95 %, most: {shown}")


def pages(data: Path) -> Iterator[tuple[str, bytes]]:
    """Page id and bytes of every page."""
    for source in find_pages(data / "html")[0]:
        yield source.page_id, source.read(10_000_000)[0]


def survival(data: Path) -> list[str]:
    """Print which true values survive; returns the prompts of 4,096 tokens."""
    truth, urls = read_truth(data / "ground-truth.json")
    schema = [attribute for attribute in read_schema("product") if attribute.name in SHOWN]
    found: Found = defaultdict(list)
    seconds, texts = [], []
    for page_id, html in pages(data):
        started = time.thread_time()
        page = read_page(html)
        texts.append(page.prompt(4096).text)
        seconds.append(time.thread_time() - started)
        raw = decode(html)
        half = hashlib.blake2b(host_of(urls.get(page_id, "")).encode()).digest()[0] % 2
        values = truth.get(page_id, {})
        there = []
        for a in schema:
            if values.get(a.name):
                hit = any(occurs(a, value, raw) for value in values[a.name])
                found["raw", 0, a.name, half].append(hit)
                there += [a] if hit else []
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
    print(
        f"\n{len(seconds)} pages, processor seconds from bytes to prompt: median {statistics.median(seconds):.3f}, "
        f"slowest {max(seconds):.2f}"
    )
    return texts


def show(title: str, found: Found, halves: tuple[int, ...]) -> None:
    """One table: attributes by budgets, in % of the raw HTML's ceiling."""
    print(f"\n{title}: % of the n pages whose raw HTML has the value (95 % interval)")
    print(f"{'':14}{'raw HTML':>16}{'n':>5}" + "".join(f"{budget:>16,}" for budget in BUDGETS))
    for attribute in SHOWN:
        ceiling = [hit for half in halves for hit in found["raw", 0, attribute, half]]
        cells = [interval(share(ceiling))]
        for budget in BUDGETS:
            hits = [hit for half in halves for hit in found[title.split(",")[0], budget, attribute, half]]
            cells.append(interval(share(hits)))
        print(f"{attribute:14}{cells[0]:>16}{sum(ceiling):>5}" + "".join(f"{cell:>16}" for cell in cells[1:]))


def share(hits: Sequence[bool]) -> Estimate | None:
    return proportion(sum(hits), len(hits)) if hits else None


def interval(found: Estimate | None) -> str:
    """A share in % with its bounds; a dash for none."""
    if found is None:
        return "–"
    value, low, high = found.percent
    return f"{value:.1f} ({low:.0f}–{high:.0f})"


def systems(data: Path) -> None:
    """Print the scores of the pages' own data and of the peers."""
    schema = read_schema("product").only(SHOWN)
    truth = read_values(data / "ground-truth.json", schema)
    seconds = []
    own: dict[str, dict[str, list[str]]] = {}
    for page_id, html in pages(data):
        started = time.thread_time()
        try:
            own[page_id] = {name: [value] for name, value in schema_org_values(decode(html), schema).items()}
        except InputError:
            own[page_id] = {}
        seconds.append(time.thread_time() - started)
    found = {"schema.org": own}
    found |= {path.stem: read_values(path, schema) for path in sorted((data / "peers").glob("*.json"))}
    scores = {name: score_values(schema, truth, values)[1] for name, values in found.items()}
    for measure in ("f1", "accuracy", "precision"):
        print(f"\n{measure} in % (95 % interval)")
        print(f"{'':14}{'n':>5}" + "".join(f"{name:>18}" for name in scores))
        for name in schema.names:
            rows = [score.by_attribute[name] for score in scores.values()]
            cells = "".join(f"{interval(getattr(row, measure)):>18}" for row in rows)
            print(f"{name:14}{rows[0].accuracy.n:>5}{cells}")
        if measure == "accuracy":
            print(f"{'macro':19}" + "".join(f"{interval(one.macro):>18}" for one in scores.values()))
        elif measure == "f1":
            print(f"{'macro F1':19}" + "".join(f"{100 * (one.macro_f1 or 0):>18.1f}" for one in scores.values()))
    print(f"\nschema.org, processor seconds: median {statistics.median(seconds):.3f}, slowest {max(seconds):.2f}")


if __name__ == "__main__":
    main()
