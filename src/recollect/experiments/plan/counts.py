"""How many facts are probed and asked, and how long answers are: what the plans of several commands count by."""

from __future__ import annotations

from recollect.evaluate import EvaluateSettings
from recollect.experiments.plan.calibrate import Rates
from recollect.experiments.plan.known import KnownFacts
from recollect.experiments.plan.work import Lengths
from recollect.probe import ProbeSettings, chosen_facts


def longest_answer(settings: EvaluateSettings, lengths: Lengths) -> float:
    """Tokens that an answer may have."""
    return lengths.answer + 8 if settings.max_new_tokens == "auto" else float(settings.max_new_tokens)


def base_tokens(settings: EvaluateSettings, rates: Rates | None, lengths: Lengths) -> float:
    """Tokens of the untouched base's answers: as measured, else as long as they may be, since it was taught no end."""
    known = None if rates is None else rates.base_answer
    return longest_answer(settings, lengths) if known is None else known


def probed_facts(settings: ProbeSettings, facts: KnownFacts) -> int:
    """How many facts a probe grades."""
    if facts.facts is not None:
        return len(chosen_facts(facts.facts, settings))
    wanted = [part.strip() for part in settings.parts.split(",")]
    count = sum(facts.counts.get(part, 0) for part in wanted)
    return count if settings.limit is None else min(count, settings.limit)


def asked_count(settings: EvaluateSettings | None, facts: KnownFacts, limit: int | None) -> int:
    """How many questions are asked of the parts of the settings, or of test and ood."""
    parts = ["test", "ood"] if settings is None else settings.parts.split(",")
    return sum(facts.counts[part] if limit is None else min(limit, facts.counts[part]) for part in parts)


def probe_rows(settings: ProbeSettings, vocabulary: int | None) -> int:
    """Texts that a probe draws side by side, on a processor (`TransformersEngine.batch_size`)."""
    draws = {"sampled": settings.samples, "hybrid": settings.residual_samples, "closed-form": 1}.get(settings.method, 5)
    most = max(1, min(256, (1 << 26) // ((vocabulary or 1 << 15) * draws)))
    return draws * (settings.batch_size or most)
