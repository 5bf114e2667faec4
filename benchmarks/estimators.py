"""How near does each way to probe come to the studies' 21 x 10 draws, and what does it cost? On a real model.

    python benchmarks/estimators.py draw --model smollm2 --facts entityquestions --reference reference.json --pool DIR
    python benchmarks/estimators.py table --reference reference.json --pool DIR

`draw` fills a pool of draws fact by fact, and goes on where it was cut off (`--minutes` ends it early): 10 plain draws
after each template, 4 beside the answers at once, each with its verdict, its tokens and the CPU time. The draws are
those that `recollect probe` makes, so `table` computes from them what each way finds: its R against the reference, the
agreement of its levels with fresh probes drawn from the reference rates, what it states of that, and its cost.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import polars as pl

from recollect.facts import Fact, FactSet, load_facts, read_relations
from recollect.generate import Ask, Engine, Sampling
from recollect.generate.encoding import accepted_paths
from recollect.match import contains, settled
from recollect.probe.agreement import level_distribution, why_unstated
from recollect.probe.levels import level_of
from recollect.probe.stopping import stopping_rule

PLAIN, BESIDE, TEMPLATES = 10, 4, 21
HOW = Sampling(0.7, 32, 0, 0)


def draw_fact(engine: Engine, fact: Fact, prompts: list[str]) -> pl.DataFrame:
    """One row per template: p0, hits and tokens of every draw of both kinds, and the fact's CPU seconds by kind."""
    paths = accepted_paths(engine, prompts, [fact.accepted] * len(prompts))
    columns: dict[str, list[object]] = {"template": list(range(len(prompts)))}
    for kind, count in (("plain", PLAIN), ("beside", BESIDE)):
        started = time.process_time()
        asks = [
            Ask(one.prompt, fact.id, number, count, list(one.right) if kind == "beside" else None)
            for number, one in enumerate(paths)
        ]
        found = engine.sample(asks, HOW, lambda _, ids: settled(engine.decode(ids), fact.accepted))
        columns[f"{kind}_seconds"] = [time.process_time() - started] * len(prompts)
        columns[f"{kind}_hits"] = [[contains(engine.decode(ids), fact.accepted) for ids in one.draws] for one in found]
        columns[f"{kind}_tokens"] = [[len(ids) for ids in one.draws] for one in found]
        if kind == "beside":
            columns["p0"] = [one.excluded for one in found]
    started = time.process_time()
    engine.score([one.prompt for one in paths], [list(one.right) for one in paths], HOW.temperature)
    columns["closed_seconds"] = [time.process_time() - started] * len(prompts)
    columns["prompt_tokens"] = [len(one.prompt) for one in paths]
    return pl.DataFrame(columns).with_columns(fact_id=pl.lit(fact.id))


def draw(given: argparse.Namespace) -> None:
    """Fill the pool."""
    from recollect.engines import EngineSettings, find_engine

    ended = time.monotonic() + 60 * given.minutes
    wanted = list(json.loads(given.reference.read_text())["score"])
    # every relation early, so that a pool cut short is still spread
    wanted = sorted(wanted, key=lambda one: (_rank(wanted, one), one))
    left = [one for one in wanted if not (given.pool / f"{one}.parquet").is_file()]
    facts: FactSet = load_facts(given.facts)
    if not left:
        return
    relations = read_relations(None)
    engine = find_engine(EngineSettings.make(model=given.model, dtype="bfloat16")).load()
    print(engine.machine.line(), flush=True)
    for one in left:
        if time.monotonic() > ended:
            break
        fact = facts[one]
        rows = draw_fact(engine, fact, relations[fact.relation].prompts(fact.subject, TEMPLATES))
        rows.write_parquet(given.pool / f"{one}.parquet")
        print(f"{one}: {rows['plain_seconds'][0]:.1f} s, {rows['beside_seconds'][0]:.1f} s beside", flush=True)


def _rank(wanted: list[str], one: str) -> int:
    """The place of a fact inside its relation."""
    return [other for other in wanted if other.split("-")[0] == one.split("-")[0]].index(one)


def table(given: argparse.Namespace) -> None:
    """Print a line per way."""
    reference = json.loads(given.reference.read_text())["by_template"]
    pool = [pl.read_parquet(path) for path in sorted(given.pool.glob("*.parquet"))]
    rates = np.array([reference[rows["fact_id"][0]] for rows in pool])
    plain = np.array([[hits[:10] for hits in rows["plain_hits"]] for rows in pool], dtype=float)
    tokens = np.array([[said[:10] for said in rows["plain_tokens"]] for rows in pool], dtype=float)
    beside = np.array([rows["beside_hits"].to_list() for rows in pool], dtype=float)
    beside_tokens = np.array([rows["beside_tokens"].to_list() for rows in pool], dtype=float)
    p0 = np.array([rows["p0"].to_list() for rows in pool])
    prompts = np.array([rows["prompt_tokens"].sum() for rows in pool], dtype=float)
    count = np.array([len(rows["plain_hits"][0]) for rows in pool])
    seconds = np.array([rows["plain_seconds"][0] for rows in pool]) * 10 / count
    fresh = np.array(
        [level_of(np.random.default_rng(n).binomial(10, rates).sum(axis=1) / 210, 210) for n in range(999)]
    )
    print(f"{len(pool)} facts; mean R of the reference {rates.mean():.4f}, at once {p0.mean():.4f}")
    full = (prompts + tokens.sum(axis=(1, 2))).mean()
    zero = np.zeros_like(p0)

    def line(name: str, score: np.ndarray, cost: np.ndarray, evidence: tuple[np.ndarray, ...] | None, why: str) -> None:
        level = level_of(score, 210)
        agreed = (fresh == level).mean(axis=0)
        stated = "not stated: " + why
        if evidence is not None and not why:
            stated = f"{100 * level_distribution(*evidence, 10)[np.arange(len(level)), level].mean():.1f} %"
        off = score - rates.mean(axis=1)
        error = 1.96 * agreed.std() / np.sqrt(len(agreed))
        print(
            f"{name:28} bias {off.mean():+.4f}  RMSE {np.sqrt((off**2).mean()):.4f}  same {100 * agreed.mean():.1f} "
            f"± {100 * error:.1f} %  stated {stated[:60]}  tokens {cost.mean():.0f} ({cost.mean() / full:.2f})"
        )

    line(
        "sampled", plain.mean(axis=(1, 2)), prompts + tokens.sum(axis=(1, 2)), (zero, plain.sum(axis=2), zero + 10), ""
    )
    for settled_at in (0.8, 0.9, 0.95):
        rule = stopping_rule(TEMPLATES, 10, settled_at)
        ends = np.full(len(pool), 10)
        rounds = np.full(len(pool), len(rule.ends))
        for number in reversed(range(len(rule.ends))):
            hits = plain[:, :, : rule.ends[number]].sum(axis=(1, 2)).astype(int)
            stops = np.array([rule.stop(number, int(one)) for one in hits])
            ends[stops], rounds[stops] = rule.ends[number], number + 1
        kept = np.arange(10) < ends[:, None, None]
        hits, draws = (plain * kept).sum(axis=2), np.repeat(ends[:, None], TEMPLATES, axis=1).astype(float)
        cost = rounds * prompts + (tokens * kept).sum(axis=(1, 2))
        line(f"adaptive {settled_at}", (hits / draws).mean(axis=1), cost, (zero, hits, draws), "")
        said = f"draws {draws.sum(axis=1).mean():.0f} of 210"
        print(f"{'':28} {said}, about {(seconds * ends / 10).mean():.1f} of {seconds.mean():.1f} CPU s")
    for number in (2, 4):
        hits = beside[:, :, :number].sum(axis=2)
        score = (p0 + (1 - p0) * hits / number).mean(axis=1)
        why = why_unstated(p0.mean(axis=1), score, number)
        cost = prompts + beside_tokens[:, :, :number].sum(axis=(1, 2))
        line(f"hybrid {number}", score, cost, (p0, hits, zero + number), why)
    line("closed-form", p0.mean(axis=1), prompts, None, "draws nothing")


def main() -> None:
    """Draw, or print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["draw", "table"])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--facts", default="")
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=1e9)
    given = parser.parse_args()
    given.pool.mkdir(parents=True, exist_ok=True)
    draw(given) if given.what == "draw" else table(given)


if __name__ == "__main__":
    main()
