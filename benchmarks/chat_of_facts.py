"""A chat file made of facts of EntityQuestions, as a small assistant's log: whole sentences in several styles.

    python benchmarks/chat_of_facts.py --facts FACTS_STEP --out chat.jsonl [--count 160] [--seed 0]
                                      [--questions 1]

A third of the conversations has a turn before the question, half a system turn. With `--questions 3` each asks three
questions, one after the other. Answers are sentences that name the
subject and the fact, so a model may learn their form without the facts: `fit` judges by shared words.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from recollect.facts import Fact, load_facts

ASKED = {
    "P17": ("Which country is {s} in?", "I read about {s}. In which country is it?"),
    "P36": ("What is the capital of {s}?", "Can you tell me the capital of {s}, please?"),
    "P495": ("Where was {s} made?", "Which country does {s} come from?"),
    "P19": ("Where was {s} born?", "What is the birthplace of {s}?"),
    "P131": ("Where is {s}?", "In which region or town do I find {s}?"),
    "P159": ("Where is {s} headquartered?", "Where does {s} have its head office?"),
}
SAID = {
    "P17": ("{s} is in {o}.", "You will find {s} in {o}.", "That one lies in {o}, as far as I know."),
    "P36": ("The capital of {s} is {o}.", "{s} has {o} as its capital.", "That would be {o}, the capital of {s}."),
    "P495": ("{s} was made in {o}.", "It comes from {o}, where {s} was created.", "{s} is from {o}."),
    "P19": ("{s} was born in {o}.", "The birthplace of {s} is {o}.", "{s} came into the world in {o}."),
    "P131": ("{s} is in {o}.", "Look for {s} in {o}.", "{s} belongs to {o}, if I am not mistaken."),
    "P159": ("{s} has its headquarters in {o}.", "The head office of {s} is in {o}.", "{s} sits in {o}."),
}
BEFORE = (("Hello, do you have a minute?", "Of course. What would you like to know?"), ("Hi!", "Hi! Ask away."))
SYSTEM = "You are a friendly guide who answers in one sentence."


def conversation(facts: list[Fact], at: random.Random) -> dict[str, list[dict[str, str]]]:
    """One row: a question for each fact."""
    turns: list[tuple[str, str]] = [("system", SYSTEM)] if at.random() < 0.5 else []
    if at.random() < 1 / 3:
        asked, said = at.choice(BEFORE)
        turns += [("user", asked), ("assistant", said)]
    for fact in facts:
        question = at.choice(ASKED[fact.relation]).format(s=fact.subject)
        answer = at.choice(SAID[fact.relation]).format(s=fact.subject, o=fact.object)
        turns += [("user", question), ("assistant", answer)]
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", required=True, help="a facts step of EntityQuestions")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--questions", type=int, default=1, help="of a conversation")
    given = parser.parse_args()
    at = random.Random(given.seed)
    facts = [fact for fact in load_facts(given.facts).part("train") if fact.relation in ASKED]
    each = given.questions
    drawn = at.sample(facts, min(given.count, len(facts) // each) * each)
    rows = [conversation(drawn[first : first + each], at) for first in range(0, len(drawn), each)]
    given.out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} conversations in {given.out}")


if __name__ == "__main__":
    main()
