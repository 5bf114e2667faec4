"""Is what `recollect hidden` calls hidden known? Checked on the pocket, whose corpus is known fact by fact.

    recollect probe --out probe
    python benchmarks/hidden.py probe [--templates 7] [--limit 200]
    python benchmarks/hidden.py simulate

The first prints, of the facts of level 0 by how often the pocket's corpus speaks of them: the mean place of the right
answer, the share of p-values up to 0.1, the share called hidden, the estimated share; and the area under the ROC curve
of facts spoken of against facts never spoken of, for the score in use and for others. The second prints the false share
where scores are random or partly so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers_hidden import world
from recollect.core.estimates import Estimate, proportion, roc_area
from recollect.engines import find_engine
from recollect.facts import FactSet, load_facts, shipped_relations
from recollect.hidden import HiddenSettings
from recollect.hidden.label import HIDDEN, UNDECIDED, hidden_share, labels
from recollect.hidden.pools import make_pools
from recollect.hidden.prefer import preferences
from recollect.hidden.rank import Floats, Place, Preferences
from recollect.probe import chosen_facts
from recollect.select import read_levels
from recollect.worlds.quiz import make_world

GROUPS = (("never", 0, 0), ("2 to 15 times", 1, 15), ("16 times or more", 16, 10**9))


class Raw(Preferences):
    """The log-probability itself in the place of the gain."""

    def gains(self) -> Floats:
        """As they are."""
        return self.logs


class Standard(Preferences):
    """The gain in standard deviations of the answer over the other subjects."""

    def gains(self) -> Floats:
        """Over each column's spread."""
        spread = np.where(self.wrong, self.logs, np.nan)
        return super().gains() / np.maximum(np.nanstd(spread, axis=0), 1e-9)


@dataclass
class Read:
    """One relation, read."""

    made: Preferences
    asked: int
    lengths: Floats
    """Tokens of each answer."""
    mentions: list[int]


def read(probe: Path, settings: HiddenSettings) -> list[Read]:
    """The preferences of the pocket over every relation."""
    facts, levels = load_facts("pocket"), read_levels(probe)
    zero = set(levels.filter(level=0)["fact_id"])
    level_0 = FactSet(tuple(fact for fact in facts if fact.id in zero), "level 0")
    mentions: dict[str, int] = dict(make_world(0).table().select("fact_id", "mentions").iter_rows())
    engine = find_engine(settings).load()
    found = []
    for pool in make_pools(chosen_facts(level_0, settings).facts, level_0.facts, facts.facts, settings):
        said, logs = [], []
        for at in range(0, len(pool.rows), 8):
            some = pool.rows[at : at + 8]
            prompts = [shipped_relations()[pool.relation].prompts(one.subject, settings.templates) for one in some]
            both = preferences(engine, prompts, pool.forms, [one.id for one in some], settings.temperature)
            said.append(both[0])
            logs.append(both[1])
        prompt = prompts[0][0]
        paths = engine.encode_answers([prompt] * len(pool.forms), [forms[0] for forms in pool.forms])
        made = Preferences(np.concatenate(said), np.concatenate(logs), pool.right, pool.same(), pool.counts, pool.own)
        asked = [mentions[one.id] for one in pool.rows[: pool.asked]]
        found.append(Read(made, pool.asked, np.array([len(path) for _, path in paths], dtype=np.float64), asked))
        print(f"{pool.relation}: {pool.asked} facts of level 0, {len(pool.forms)} answers", flush=True)
    return found


def places(rows: Sequence[Read], kind: type[Preferences], settings: HiddenSettings, **how: str) -> list[Place]:
    """Of all relations, by one kind of score."""
    found = []
    for one in rows:
        made = one.made
        logs = made.logs / one.lengths if how.get("length") else made.logs
        logs = np.log(np.maximum(made.said, 1e-30)) if how.get("mean") else logs
        own = kind(made.said, logs, made.right, made.same, made.pool, made.own)
        found += own.places(0 if how.get("unsaid") else settings.draws or 210, settings.fdr)[: one.asked]
    return found


def text(found: Estimate | None, digits: int = 2) -> str:
    """A value and its interval."""
    return "–" if found is None else f"{found.value:.{digits}f} ({found.low:.{digits}f}–{found.high:.{digits}f})"


def told(place: Sequence[Place], given: Sequence[str], name: str) -> str:
    """One row of the table."""
    decided = [one for one in given if one != UNDECIDED]
    values = [one.p_value for one in place if one.p_value is not None]
    cells = [
        name,
        len(place),
        f"{np.mean([one.middle for one in place]):.3f}",
        text(proportion(sum(value <= 0.1 for value in values), len(values))) if values else "–",
        f"{given.count(HIDDEN)} of {len(decided)}",
        text(hidden_share(place)),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def pocket(probe: Path, settings: HiddenSettings) -> None:
    """Print both tables."""
    rows = read(probe, settings)
    mentions = np.array([count for one in rows for count in one.mentions])
    place = places(rows, Preferences, settings)
    print("\n| spoken of | facts | mean place | p-values up to 0.1 | called hidden | hidden share |")
    print("|---|---|---|---|---|---|")
    for draws in (settings.fdr, 0.2, 0.3):
        given = labels(place, draws)
        print(told(place, given, f"all (fdr {draws})"))
        for name, least, most in GROUPS:
            at = np.flatnonzero((mentions >= least) & (mentions <= most))
            print(told([place[i] for i in at], [given[i] for i in at], name))
    kinds: dict[str, tuple[type[Preferences], dict[str, str]]] = {
        "gain (in use)": (Preferences, {}),
        "gain, in standard deviations of the answer": (Standard, {}),
        "gain, of the mean probability": (Preferences, {"mean": "x"}),
        "gain, per token": (Preferences, {"length": "x"}),
        "log-probability": (Raw, {}),
        "log-probability per token": (Raw, {"length": "x"}),
        "gain, whatever was said": (Preferences, {"unsaid": "x"}),
        "log-probability, whatever was said": (Raw, {"unsaid": "x"}),
    }
    print("\n| score | area, spoken of against never | 16 times or more | place of never | place, spoken of |")
    print("|---|---|---|---|---|")
    for name, (kind, how) in kinds.items():
        middles = -np.array([one.middle for one in places(rows, kind, settings, **how)])
        never, seen, often = middles[mentions == 0], middles[mentions > 0], middles[mentions > 15]
        areas = [text(roc_area(one.tolist(), never.tolist())) for one in (seen, often)]
        print(f"| {name} | {' | '.join(areas)} | {-never.mean():.3f} | {-seen.mean():.3f} |")


def simulate(worlds: int = 200) -> None:
    """Print the false share among those called hidden, with none, a tenth and a third of the facts known."""
    print("| known | standard deviations | worlds | false share | found of the known | share, mean of the estimates |")
    print("|---|---|---|---|---|---|")
    for share, boosted in ((0.0, 0.0), (0.1, 4.0), (0.33, 4.0), (0.33, 2.0)):
        random = np.random.default_rng(0)
        false, found, estimates = [], [], []
        for _ in range(worlds):
            place, known = world(random, boosted, share, alike=0.5)
            called = np.array([one == HIDDEN for one in labels(place, 0.1)])
            false.append((called & ~known).sum() / max(1, called.sum()))
            found.append((called & known).sum() / max(1, known.sum()))
            estimates.append(0.0 if (one := hidden_share(place)) is None else one.value)
        print(
            f"| {share:.2f} | {boosted:g} | {worlds} | {np.mean(false):.3f} ± {np.std(false) / np.sqrt(worlds):.3f} | "
            f"{np.mean(found):.2f} | {np.mean(estimates):.2f} |"
        )


def main() -> None:
    """Simulate, or read the pocket."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("probe", help='the pocket\'s probe step directory, or "simulate"')
    parser.add_argument("--templates", type=int, default=7)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    if given.probe == "simulate":
        simulate()
        return
    settings = HiddenSettings.make(levels=given.probe, templates=given.templates, limit=given.limit)
    pocket(Path(given.probe), settings)


if __name__ == "__main__":
    main()
