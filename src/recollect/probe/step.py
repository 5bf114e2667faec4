"""The probe step: self-test, batches, scores; resumable after any batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, open_step, step_input
from recollect.errors import InputError
from recollect.facts import FactSet, read_relations
from recollect.generate import self_test
from recollect.generate.encoding import check_context
from recollect.match import MATCHER_VERSION, MATCHERS, MatcherName
from recollect.models import LoadedModel, check_folder, check_held, find_model, load, model_fingerprint
from recollect.probe.jobs import chosen_facts, cut, make_jobs, out_of_reach
from recollect.probe.measure import SCHEMA, measure
from recollect.probe.score import score_facts
from recollect.probe.settings import ProbeSettings

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ProbeResult:
    """A finished probe: `path` holds levels.parquet (one row per fact), templates.parquet and completions.parquet."""

    path: Path
    levels: pl.DataFrame
    metrics: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """The command's JSON answer."""
        return {**self.metrics, "out": str(self.path)}


def run_probe(
    settings: ProbeSettings,
    facts: FactSet,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
    loaded: LoadedModel | None = None,
) -> ProbeResult:
    """Grade the facts by how well the model knows them; returns at once when this very step is already done.

    `loaded` saves reading the model again when the caller holds it. Raises InputError, ModelError, StepError, and
    SelfTestError when the sampler does not follow the model.
    """
    folder = find_model(settings.model, settings.revision)
    check_folder(folder, trust_remote_code=settings.trust_remote_code, revision=settings.revision)
    if loaded:
        check_held(settings, loaded)
    template_file = Path(settings.template_file) if settings.template_file else None
    relations = read_relations(template_file)
    chosen = chosen_facts(facts, settings.parts, settings.limit, settings.seed)
    used = {name: list(relations[name].templates) for name in chosen.relations if name in relations}
    inputs = {
        "model": loaded.fingerprint if loaded else model_fingerprint(folder),
        "facts": chosen.fingerprint(),
        "templates": fingerprint(used),
        "matcher": MATCHER_VERSION,
    }
    with open_step("probe", settings.fingerprint_values(), inputs, out, root) as step:
        if not step.done:
            _work(step, settings, chosen, relations, loaded or load(settings), progress)
        levels = step.read_table("levels.parquet")
        return ProbeResult(step.path, levels, step.metrics)


def _work(
    step: Step,
    settings: ProbeSettings,
    facts: FactSet,
    relations: Mapping[str, Any],
    loaded: LoadedModel,
    progress: Progress | None,
) -> None:
    started = time.monotonic()
    jobs = make_jobs(facts, relations, settings.templates, loaded.tokenizer)
    names = [f"template {job.template + 1} with the subject of fact {facts.facts[job.fact].id}" for job in jobs]
    remedy = "Lower --max-new-tokens, shorten the text or take a model with more context."
    check_context(loaded.model.config, [job.prompt for job in jobs], names, settings.max_new_tokens, remedy)
    check = self_test(loaded.model, loaded.tokenizer, temperature=settings.temperature, top_k=settings.top_k)
    plan = step.pin(
        batch_size=settings.batch_size or _batch_size(loaded, settings),
        threads=loaded.machine.threads,
        self_test_p=check["p_value"],
    )
    batches = cut(jobs, plan["batch_size"])
    done = 0
    for index, batch in enumerate(batches):
        if not step.has_part(index):
            step.write_part(index, measure(loaded, facts, batch, settings))
        done += len(batch)
        if progress is not None:
            progress(done, len(jobs))
    rows = step.read_parts(len(batches)).sort("fact", "template")
    levels = score_facts(rows, facts, settings.method, settings.samples)
    step.write_table("levels.parquet", levels)
    step.write_table("templates.parquet", _template_table(rows, facts, levels))
    if settings.keep_text and settings.method != "closed-form":
        ids = [fact.id for fact in facts]
        texts = rows.select(
            fact_id=pl.col("fact").map_elements(lambda at: ids[at], return_dtype=pl.String),
            template="template",
            texts="texts",
        )
        step.write_table("completions.parquet", texts)
    counts = {str(level): int((levels["level"] == level).sum()) for level in range(5)}
    by_part = {
        part: [int(((levels["part"] == part) & (levels["level"] == level)).sum()) for level in range(5)]
        for part in ("train", "test", "ood")
    }
    step.finish(
        {
            "facts": len(facts),
            "levels": counts,
            "levels_by_part": by_part,
            "mean_score": round(float(levels["score"].mean()), 6),  # type: ignore[arg-type]
            **_agreement(levels),
            "share_at_once": _share_at_once(levels) if settings.method == "hybrid" else None,
            "notes": out_of_reach(facts, jobs, settings.max_new_tokens).notes(len(facts), settings.max_new_tokens),
            "method": settings.method,
            "self_test_p": round(plan["self_test_p"], 6),
            "seconds": round(time.monotonic() - started, 3),
        }
    )


def _agreement(levels: pl.DataFrame) -> dict[str, Any]:
    """What a fresh probe would find, null where the method does not say: agreement, facts in doubt, facts by level."""
    if levels["level_probability"].null_count():
        return {"borderline": None, "expected_repeat_agreement": None, "levels_expected": None}
    by_level = np.array(levels["level_probabilities"].to_list()).sum(axis=0)
    return {
        "borderline": int(levels["borderline"].sum()),
        "expected_repeat_agreement": round(float(levels["level_probability"].mean()), 6),  # type: ignore[arg-type]
        "levels_expected": {str(level): round(float(count), 1) for level, count in enumerate(by_level)},
    }


def _share_at_once(levels: pl.DataFrame) -> float | None:
    """Share of a hybrid probe's mean score that comes at once; sampling or the closed form alone cannot tell."""
    score = float(levels["score"].mean())  # type: ignore[arg-type]
    return round(float(levels["p0"].mean()) / score, 4) if score else None  # type: ignore[arg-type]


def _batch_size(loaded: LoadedModel, settings: ProbeSettings) -> int:
    """Prompts read at once, so that a float64 table of next-token probabilities of all draws stays within bounds."""
    vocabulary = int(loaded.model.config.get_text_config().vocab_size)
    draws = {"sampled": settings.samples, "hybrid": settings.residual_samples, "closed-form": 1}[settings.method]
    budget = (1 << 26) if loaded.device == "cpu" else (1 << 29)  # numbers: half a gigabyte, four gigabytes
    return max(1, min(256 if loaded.device == "cpu" else 1024, budget // (vocabulary * draws)))


def _template_table(rows: pl.DataFrame, facts: FactSet, levels: pl.DataFrame) -> pl.DataFrame:
    """Mean hit rate of each template of each relation: which wordings reach the knowledge."""
    exploded = levels.select("relation", "template_scores").with_columns(
        template=pl.int_ranges(0, pl.col("template_scores").list.len())
    )
    return (
        exploded.explode("template_scores", "template")
        .group_by("relation", "template")
        .agg(rate=pl.col("template_scores").mean(), facts=pl.len())
        .sort("relation", "template")
    )


def rescore(probe: Path, facts: FactSet, matcher: MatcherName | str = "contains") -> pl.DataFrame:
    """Grade a finished `sampled` probe again from its stored texts, with another matcher; nothing is sampled.

    Exact for both shipped matchers: a draw was only ended early when both had accepted it for good.
    """
    manifest = step_input(probe, "probe")
    settings = manifest["settings"]
    if matcher not in MATCHERS:
        raise InputError(f"matcher must be one of {', '.join(MATCHERS)}, but got {matcher!r}.")
    if settings["method"] != "sampled":
        raise InputError(
            f"{probe} was probed by {settings['method']!r}, whose closed form is tied to its matcher; only 'sampled' "
            "probes can be judged again. Probe with --method sampled."
        )
    if not (probe / "completions.parquet").is_file():
        raise InputError(f"{probe} kept no texts (keep_text was off). Probe again with --keep-text.")
    texts = pl.read_parquet(probe / "completions.parquet", glob=False)
    ids = list(dict.fromkeys(texts["fact_id"].to_list()))
    chosen = facts.only(ids)
    place = {fact_id: at for at, fact_id in enumerate(ids)}
    judge = MATCHERS[matcher]
    rows = pl.DataFrame(
        {
            "fact": [place[fact_id] for fact_id in texts["fact_id"]],
            "template": texts["template"],
            "p0": [None] * len(texts),
            "draws": [len(said) for said in texts["texts"]],
            "hits": [
                sum(judge(text, facts[fact_id].accepted) for text in said)
                for fact_id, said in zip(texts["fact_id"], texts["texts"], strict=True)
            ],
            "texts": texts["texts"],
        },
        schema=SCHEMA,
    )
    return score_facts(rows, chosen, "sampled", settings["samples"])
