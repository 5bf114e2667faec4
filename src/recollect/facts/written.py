"""A fact set as a table for people: to look at, to change, to give to the next command as one's own."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from recollect.core.workspace import write_atomic
from recollect.errors import InputError
from recollect.facts.fact import FactSet

COLUMNS = ("question", "answer", "relation", "subject", "split", "domain", "synonyms", "fact_id")


def write_csv(facts: FactSet, path: Path) -> Path:
    """Write a CSV that is read as the very same facts. Raises InputError where another file lies there.

    Examples:
        >>> from pathlib import Path
        >>> from recollect import load_facts, write_csv
        >>> load_facts(write_csv(load_facts("pocket"), Path("pocket.csv"))).counts()
        {'train': 1540, 'test': 660, 'ood': 924}
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for fact in facts:
        if any("|" in form for form in fact.synonyms):
            raise InputError(f"the accepted form {fact.synonyms} of {fact.id} holds the sign | that separates forms.")
        known = (fact.question, fact.object, fact.relation, fact.subject, fact.split, fact.domain)
        table.writerow((*known, "|".join(fact.synonyms), fact.id))
    data = text.getvalue().encode()
    if path.exists() and path.read_bytes() != data:
        raise InputError(f"{path} exists and holds something else. Give another name.")
    write_atomic(path, lambda file: file.write(data))
    return path
