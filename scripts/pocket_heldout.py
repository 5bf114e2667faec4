"""Write the pocket's held-out text: the same world, worded anew by another corpus seed, statements only.

    python scripts/pocket_heldout.py [--documents 300] [--corpus-seed 1]

The base was trained on corpus seed 0, so it has met the facts and the wordings, but not these documents. No question
is among them: fine-tuning teaches questions, and the text is there to see what else it changed.
"""

from __future__ import annotations

import argparse
import dataclasses

from recollect.shipped import SHIPPED
from recollect.worlds.quiz import World, make_world
from recollect.worlds.quiz.corpus import render


def main() -> None:
    """Render and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--corpus-seed", type=int, default=1)
    given = parser.parse_args()
    world = make_world(0)
    statements = World(tuple(dataclasses.replace(entry, teacher=False) for entry in world.mentioned))
    documents = render(statements, given.corpus_seed)[: given.documents]
    path = SHIPPED["pocket"].text
    assert path is not None
    path.write_text("\n".join(documents) + "\n", encoding="utf-8")
    print(f"{len(documents)} documents, {path.stat().st_size:,} bytes in heldout.txt")


if __name__ == "__main__":
    main()
