"""The probe step: self-test, batches, scores; resumable after any batch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recollect.chat.frame import in_chat
from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, open_step, step_input
from recollect.engines import FoundModel, find_engine
from recollect.errors import InputError
from recollect.facts import FactSet, Relation, load_facts, read_relations
from recollect.generate import Engine, engine_notes
from recollect.match import CONTAINED, DEFAULT_JUDGE, MATCHER_VERSION, Asked, Judge, check_all, judge_of
from recollect.models import LoadedModel
from recollect.probe.examples import EXAMPLES, draw_examples
from recollect.probe.jobs import choice_inputs, chosen_facts, forms_input, make_jobs, out_of_reach
from recollect.probe.measure import SCHEMA, draws_per_job, hits
from recollect.probe.prompts import OTHER, compare_levels
from recollect.probe.score import is_plain, score_facts, unstated
from recollect.probe.settings import ProbeFound, ProbeSettings, Way
from recollect.probe.stopping import largest_bias, stopping_rule
from recollect.probe.work import Progress, measure_all


@dataclass(frozen=True)
class ProbeResult:
    """A finished probe: `path` holds levels.parquet (one row per fact), templates.parquet, completions.parquet and
    examples.parquet."""

    path: Path
    levels: pl.DataFrame
    found: ProbeFound


def run_probe(
    settings: ProbeSettings,
    facts: FactSet | None = None,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
    loaded: LoadedModel | None = None,
    model: FoundModel | None = None,
) -> ProbeResult:
    """Grade the facts by how well the model knows them; returns at once when this very step is already done.

    `facts` and `loaded` save reading what the settings name again when the caller holds it; so does `model`, with its
    engine (`recollect.together`). Raises InputError,
    ModelError, StepError, and SelfTestError when the sampler does not follow the model.

    Examples:
        >>> from recollect import ProbeSettings, run_probe
        >>> result = run_probe(ProbeSettings.make(limit=20, templates=2))
        >>> result.found.levels
        {'0': ..., '1': ..., '2': ..., '3': ..., '4': ...}
        >>> result.levels.height
        20
    """
    facts = load_facts(settings.facts) if facts is None else facts
    model = model or find_engine(settings, loaded)
    settings = settings.run_by(model)
    relations = read_relations(Path(settings.template_file) if settings.template_file else None)
    chosen = chosen_facts(facts, settings)
    judge = judge_of(settings.judge)
    check_all(judge, [(fact.accepted, Asked(fact.question, fact.choices)) for fact in chosen])
    used = {name: list(relations[name].templates) for name in chosen.relations if name in relations}
    inputs = {
        **model.inputs,
        "facts": chosen.fingerprint(),
        "templates": fingerprint(used),
        "matcher": MATCHER_VERSION,
        **({} if settings.has_closed_form else {"judge": judge.version}),
        **forms_input(settings),
        **choice_inputs(facts, settings),
    }
    with open_step("probe", settings, inputs, out, root) as step:
        if not step.done:
            other = None
            if settings.prompt == "both":
                asked = settings.model_copy(update={"prompt": "chat"})
                half = _half(progress, 0)
                other = run_probe(asked, facts, step.folder / OTHER, progress=half, loaded=loaded, model=model).levels
                settings, progress = settings.model_copy(update={"prompt": "plain"}), _half(progress, 1)
            _work(step, settings, chosen, relations, model.load(), progress, other)
        return ProbeResult(step.path, step.read_table("levels.parquet"), ProbeFound.read(step.path))


def _work(
    step: Step,
    settings: ProbeSettings,
    facts: FactSet,
    relations: Mapping[str, Relation],
    engine: Engine,
    progress: Progress | None,
    other: pl.DataFrame | None,
) -> None:
    started = time.monotonic()
    if settings.method == "hybrid" and not engine.draws_excluding:
        raise InputError(
            f"method hybrid draws from what the closed form leaves over, which the engine {engine.name!r} cannot. Take "
            "--method auto, adaptive, sampled or closed-form."
        )
    _check_scores(settings, engine)
    engine = in_chat(engine) if settings.prompt == "chat" else engine
    jobs = make_jobs(facts, relations, engine, settings)
    plan = step.pin(
        batch_size=settings.batch_size or engine.batch_size(draws_per_job(settings)),
        threads=engine.machine.threads,
        self_test_p=engine.self_test(settings.temperature, settings.top_k),
    )
    measured = measure_all(step, engine, facts, jobs, settings, progress)
    rows, taken, choice = measured.rows.sort("fact", "template"), measured.settings, measured.choice
    levels = score_facts(rows, facts, _way(taken), settings.samples)
    step.write_table("levels.parquet", levels)
    step.write_table("templates.parquet", _template_table(levels))
    if settings.keep_text and settings.method != "closed-form":
        ids = pl.Series("fact_id", [fact.id for fact in facts])
        step.write_table("completions.parquet", rows.select(ids.gather(rows["fact"]), "template", "texts"))
    step.write_table(EXAMPLES, draw_examples(engine, facts, levels, relations, settings))
    unreachable = out_of_reach(facts, jobs, settings)
    step.finish(
        _found(levels, taken).model_copy(
            update={
                "other_prompt": None if other is None else compare_levels(levels, other, "chat"),
                "unstated": unstated(rows, facts, _way(taken)),
                **({} if choice is None else {"choice": choice, "share_at_once": choice.share_at_once}),
                "notes": [*unreachable, *engine_notes(engine)],
                "self_test_p": None if plan["self_test_p"] is None else round(plan["self_test_p"], 6),
                "seconds": round(time.monotonic() - started, 3),
            }
        )
    )


def _check_scores(settings: ProbeSettings, engine: Engine) -> None:
    if settings.method not in ("closed-form", "hybrid") or engine.scores_at(settings.temperature):
        return
    at_one = " It gives some at temperature 1 (--temperature 1)." if engine.scores_at(1.0) else ""
    raise InputError(
        f"method {settings.method} needs log-probabilities of answers at temperature {settings.temperature:g}, which "
        f"the engine {engine.name!r} does not give: sampled only. Take --method sampled, adaptive or auto.{at_one}"
    )


def _half(progress: Progress | None, half: int) -> Progress | None:
    """The progress of one of two equally long probes as that of both."""
    if progress is None:
        return None
    return lambda done, total: progress(half * total + done, 2 * total)


def _found(levels: pl.DataFrame, settings: ProbeSettings) -> ProbeFound:
    """The numbers of the levels; what a fresh probe would find stays None where the method does not say."""
    by_part = {
        part: [levels.filter(part=part, level=level).height for level in range(5)] for part in ("train", "test", "ood")
    }
    score = float(levels["score"].mean())  # type: ignore[arg-type]
    found = ProbeFound(
        facts=len(levels),
        method=_way(settings),
        judge=settings.judge,
        prompt="chat" if settings.prompt == "chat" else "plain",
        levels={str(level): levels.filter(level=level).height for level in range(5)},
        levels_by_part=by_part,
        mean_score=round(score, 6),
        draws=int(levels["draws"].list.sum().sum()),
        largest_bias=_largest_bias(settings),
        seconds=0,
    )
    if settings.method == "hybrid" and score:
        at_once = float(levels["p0"].mean())  # type: ignore[arg-type]
        found = found.model_copy(update={"share_at_once": round(at_once / score, 4)})
    if levels["level_probability"].null_count():
        return found
    by_level = np.array(levels["level_probabilities"].to_list()).sum(axis=0)
    return found.model_copy(
        update={
            "borderline": int(levels["borderline"].sum()),
            "expected_repeat_agreement": round(float(levels["level_probability"].mean()), 6),  # type: ignore[arg-type]
            "levels_expected": {str(level): round(float(count), 1) for level, count in enumerate(by_level)},
        }
    )


def _way(settings: ProbeSettings) -> Way:
    if settings.method == "auto":
        raise ValueError("auto is no way to grade facts, but a choice of one")
    return settings.method


def _largest_bias(settings: ProbeSettings) -> float | None:
    if settings.method != "adaptive":
        return None
    return round(largest_bias(stopping_rule(settings.templates, settings.samples, settings.settled))[0], 4)


def _template_table(levels: pl.DataFrame) -> pl.DataFrame:
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


def rescore_levels(path: Path, facts: FactSet, matcher: str | Judge = DEFAULT_JUDGE) -> pl.DataFrame:
    """Grade a finished `sampled` or `adaptive` probe again from its stored texts, by another judge; no model is read.

    Exact for `contains` and `word`: a draw was only ended early when both had accepted it for good. For any other judge
    the draws must be whole, which those of a probe with another judge than `contains` are; InputError where they are
    not.

    Examples:
        `sampled` is the folder of a `run_probe` with `method="sampled"`.

        >>> from recollect import load_facts, rescore
        >>> rescore(sampled, load_facts("pocket"), matcher="word").height
        20
    """
    manifest = step_input(path, "probe")
    settings = manifest.settings
    judge = judge_of(matcher) if isinstance(matcher, str) else matcher
    if judge.name not in CONTAINED and settings.get("judge", DEFAULT_JUDGE) == DEFAULT_JUDGE:
        raise InputError(
            f"the draws of {path} ended as soon as they held the answer for good, so {judge.name} cannot judge them: "
            f"what would have followed may undo its verdict. Probe with --judge {judge.name} --method sampled: whole "
            "draws."
        )
    method = ProbeFound.read(path).method
    if not is_plain(method):
        raise InputError(
            f"{path} was probed by {method!r}, whose closed form is tied to its matcher; only 'sampled' and 'adaptive' "
            "probes can be judged again. Probe with --method sampled."
        )
    if not (path / "completions.parquet").is_file():
        raise InputError(f"{path} kept no texts (keep_text was off). Probe again with --keep-text.")
    texts = pl.read_parquet(path / "completions.parquet", glob=False)
    ids = list(dict.fromkeys(texts["fact_id"].to_list()))
    chosen = facts.only(ids)
    place = {fact_id: at for at, fact_id in enumerate(ids)}
    rows = pl.DataFrame(
        {
            "fact": [place[fact_id] for fact_id in texts["fact_id"]],
            "template": texts["template"],
            "p0": [None] * len(texts),
            "draws": [len(said) for said in texts["texts"]],
            "hits": [
                hits(judge, facts[fact_id], said)
                for fact_id, said in zip(texts["fact_id"], texts["texts"], strict=True)
            ],
            "texts": texts["texts"],
            "at_once": None,
            "tokens": None,
            "pair_tokens": None,
            "rest_tokens": None,
        },
        schema=SCHEMA,
    )
    return score_facts(rows, chosen, method, settings["samples"])
