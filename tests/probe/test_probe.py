"""The probe step on an enumerable model: scores against brute force, kills, resumption, judging again."""

import hashlib
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from enumerable import Small, load_small
from recollect.core.workspace import open_step, read_manifest
from recollect.errors import InputError, StepError
from recollect.evaluate import facts_of_part
from recollect.facts import Fact, FactSet
from recollect.match import contains, word
from recollect.probe import ProbeSettings, read_examples, rescore_levels, run_probe
from recollect.probe.jobs import chosen_facts

TEMPLATES = ["c [X]", "[X] d", "d c [X] b"]
LONGEST = 3


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return load_small(tmp_path_factory.mktemp("small"), seed=3)


@pytest.fixture(scope="module")
def template_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("templates") / "mine.yaml"
    path.write_text("R:\n" + "".join(f'  - "{text}"\n' for text in TEMPLATES), encoding="utf-8")
    return str(path)


def facts() -> FactSet:
    made = []
    for subject, answer, synonyms in [
        ("a", "b", ()),
        ("b", "a a", ()),
        ("c", "d a", ("d", "d a b")),
        ("d d", "c", ("b b",)),
        ("a b", "a", ()),
        ("b c a", "d d", ()),
    ]:
        made.append(Fact("R", subject, answer, f"what of {subject}", synonyms))
    return FactSet(tuple(made))


def probe(
    small: Small, template_file: str, out: Path, given: FactSet | None = None, **values: object
) -> tuple[Path, pl.DataFrame]:
    settings = ProbeSettings.make(
        **{
            "model": str(small.loaded.folder),
            "template_file": template_file,
            "templates": 3,
            "max_new_tokens": LONGEST,
            "parts": "train",
            **values,
        }
    )
    result = run_probe(settings, facts() if given is None else given, out, loaded=small.loaded)
    return result.path, result.levels


def test_facts_that_are_not_handed_over_are_those_that_the_settings_name(
    small: Small, template_file: str, tmp_path: Path
) -> None:
    facts().table().write_parquet(tmp_path / "facts.parquet")
    settings = ProbeSettings.make(
        model=small.loaded.folder, facts=tmp_path / "facts.parquet", template_file=template_file, templates=1
    )
    read = run_probe(settings, out=tmp_path / "probe", loaded=small.loaded).levels
    assert set(read["fact_id"]) == {fact.id for fact in facts()}
    assert run_probe(settings, facts(), tmp_path / "probe", loaded=small.loaded).levels.equals(read)


def brute_force(small: Small, fact: Fact, longest: int = LONGEST) -> tuple[float, float]:
    """(probability that a completion contains an accepted form, that it starts with one), mean over templates."""
    tokenizer = small.loaded.tokenizer
    contained = started = 0.0
    for template in TEMPLATES:
        prompt = tokenizer(template.replace("[X]", fact.subject))["input_ids"]
        forms = [tuple(tokenizer(form, add_special_tokens=False)["input_ids"]) for form in fact.accepted]
        for said, probability in small.completions(prompt, 0.7, longest):
            contained += probability * contains(small.text(said), fact.accepted)
            started += probability * any(said[: len(form)] == form for form in forms)  # cut forms never match
    return contained / len(TEMPLATES), started / len(TEMPLATES)


def test_closed_form_equals_brute_force(small: Small, template_file: str, tmp_path: Path) -> None:
    step, levels = probe(small, template_file, tmp_path / "p", method="closed-form")
    for fact, score in zip(facts(), levels["score"], strict=True):
        assert score == pytest.approx(brute_force(small, fact)[1], abs=1e-6)
    assert read_manifest(step).metrics["share_at_once"] is None  # it sees nothing else, so it cannot tell


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_a_form_longer_than_the_limit_counts_nothing(
    small: Small, template_file: str, tmp_path: Path, longest: int
) -> None:
    """R agrees by every method with brute force at the same limit; longer forms are named in the manifest."""
    truth = [brute_force(small, fact, longest) for fact in facts()]
    closed, levels = probe(small, template_file, tmp_path / "c", method="closed-form", max_new_tokens=longest)
    assert levels["score"].to_list() == pytest.approx([started for _, started in truth], abs=1e-6)
    for method, draws in (("hybrid", {"residual_samples": 400}), ("sampled", {"samples": 400})):
        _, levels = probe(small, template_file, tmp_path / method, method=method, max_new_tokens=longest, **draws)
        for score, (contained, _) in zip(levels["score"], truth, strict=True):
            assert abs(score - contained) < 4.5 * (contained * (1 - contained) / 1200) ** 0.5 + 1e-6
    notes = read_manifest(closed).metrics["notes"]
    if longest == 1:
        assert len(notes) == 1
        assert notes[0].startswith("2 of 6 answers ('a a', 'd d') are longer than max_new_tokens=1 in this tokenizer")
    else:
        assert notes == []


@pytest.mark.parametrize(("method", "draws"), [("sampled", {"samples": 1500}), ("hybrid", {"residual_samples": 1500})])
def test_scores_agree_with_brute_force(
    small: Small, template_file: str, tmp_path: Path, method: str, draws: dict[str, int]
) -> None:
    _, levels = probe(small, template_file, tmp_path / "p", method=method, **draws)
    for fact, score, low, high in zip(facts(), levels["score"], levels["low"], levels["high"], strict=True):
        truth = brute_force(small, fact)[0]
        spread = (truth * (1 - truth) / (3 * 1500)) ** 0.5
        assert abs(score - truth) < 4 * spread + 1e-6
        assert low <= score <= high


def test_hybrid_is_unbiased_and_less_noisy_with_few_draws(small: Small, template_file: str, tmp_path: Path) -> None:
    """Each fact 120 times, under ids of its own, which draw anew."""
    runs = 120
    copies = FactSet(tuple(replace(fact, id=f"{fact.id}-{run}") for run in range(runs) for fact in facts()))

    def scores(method: str, **values: object) -> np.ndarray:
        _, levels = probe(small, template_file, tmp_path / method, copies, method=method, **values)
        assert levels["fact_id"].to_list() == [fact.id for fact in copies]
        return levels["score"].to_numpy().reshape(runs, len(facts()))

    truth = np.array([brute_force(small, fact)[0] for fact in facts()])
    hybrid = scores("hybrid", residual_samples=2)
    error = hybrid.std(axis=0) / runs**0.5
    assert (np.abs(hybrid.mean(axis=0) - truth) < 4 * error + 1e-6).all()
    sampled = scores("sampled", samples=2)
    assert (hybrid.std(axis=0) <= sampled.std(axis=0) * 1.05).all()
    assert hybrid.std(axis=0).mean() < 0.9 * sampled.std(axis=0).mean()


def test_batch_size_and_order_change_no_score(small: Small, template_file: str, tmp_path: Path) -> None:
    _, one = probe(small, template_file, tmp_path / "one", method="sampled", batch_size=1)
    shuffled = list(facts())
    random.Random(1).shuffle(shuffled)
    _, two = probe(small, template_file, tmp_path / "two", FactSet(tuple(shuffled)), method="sampled", batch_size=7)
    columns = ["fact_id", "score", "level", "hits"]
    assert one.select(columns).sort("fact_id").equals(two.select(columns).sort("fact_id"))


def test_levels_table_has_the_promised_columns(small: Small, template_file: str, tmp_path: Path) -> None:
    path, _ = probe(small, template_file, tmp_path / "p")
    levels = pl.read_parquet(path / "levels.parquet")
    wanted = [
        "fact_id",
        "relation",
        "subject",
        "object",
        "score",
        "low",
        "high",
        "level",
        "level_probability",
        "borderline",
        "hits",
    ]
    assert set(wanted) <= set(levels.columns)
    assert levels["level"].is_between(0, 4).all()
    assert levels["hits"].list.len().to_list() == [3] * len(levels)


def digest(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.parquet"))}


def many(count: int) -> FactSet:
    rng = random.Random(5)
    made = {
        (subject := " ".join(rng.choices("abcd", k=5)), answer := rng.choice("abcd")): Fact(
            "R", subject, answer, f"what of {subject}"
        )
        for _ in range(count)
    }
    return FactSet(tuple(made.values()))


def killed_run(small: Small, template_file: str, out: Path, given: FactSet, after: float, sign: int) -> bool:
    """Run the probe in a forked child and kill it after so many seconds; True when it was killed, False when done."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            probe(small, template_file, out, given, method="sampled", batch_size=8, max_new_tokens=8)
            code = 0
        finally:
            os._exit(code)
    time.sleep(after)
    os.kill(child, sign)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_ten_kills_leave_the_same_bytes_as_an_uninterrupted_probe(
    small: Small, template_file: str, tmp_path: Path
) -> None:
    given = many(100)
    started = time.monotonic()
    whole, _ = probe(small, template_file, tmp_path / "whole", given, method="sampled", batch_size=8, max_new_tokens=8)
    length = time.monotonic() - started
    rng = random.Random(11)
    out = tmp_path / "killed"
    kills = 0
    parts = []
    while kills < 10:
        if not killed_run(small, template_file, out, given, rng.uniform(0.05, 0.25) * length, signal.SIGKILL):
            assert kills >= 3, "the probe ended before it could be killed"
            break
        kills += 1
        parts.append(len(list((tmp_path / "killed.partial" / "parts").glob("*.parquet"))))
        assert not out.exists()
    assert parts == sorted(parts)  # nothing finished was lost or done again from the start
    probe(small, template_file, out, given, method="sampled", batch_size=8, max_new_tokens=8)
    assert digest(out) == digest(whole)
    assert {"levels.parquet", "completions.parquet", "templates.parquet"} <= set(digest(out))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["killed", "whole"]


def test_a_finished_probe_is_not_run_again(small: Small, template_file: str, tmp_path: Path) -> None:
    path, _ = probe(small, template_file, tmp_path / "p")
    before = (path / "manifest.json").stat().st_mtime_ns
    again, _ = probe(small, template_file, tmp_path / "p")
    assert again == path
    assert (path / "manifest.json").stat().st_mtime_ns == before


def test_a_directory_from_other_settings_is_refused_and_kept(small: Small, template_file: str, tmp_path: Path) -> None:
    path, _ = probe(small, template_file, tmp_path / "p")
    before = digest(path)
    with pytest.raises(StepError, match="temperature was 0.7, now 0.9"):
        probe(small, template_file, tmp_path / "p", temperature=0.9)
    assert digest(path) == before


def test_stored_text_judges_the_same_and_by_another_matcher(small: Small, template_file: str, tmp_path: Path) -> None:
    path, levels = probe(small, template_file, tmp_path / "p", method="sampled", samples=20, max_new_tokens=10)
    again = rescore_levels(path, facts(), "contains")
    assert again.drop("part").equals(levels.drop("part"))
    # the stricter matcher on full-length texts must agree with those cut short: no draw was ended too early
    by_word = rescore_levels(path, facts(), "word")
    full = pl.read_parquet(path / "completions.parquet")
    assert (by_word["score"] <= levels["score"]).all()
    hits = [
        sum(word(text, facts()[fact_id].accepted) for text in said)
        for fact_id, said in zip(full["fact_id"], full["texts"], strict=True)
    ]
    assert sum(hits) == sum(sum(row) for row in by_word["hits"])


def test_hybrid_texts_are_not_judged_again(small: Small, template_file: str, tmp_path: Path) -> None:
    path, _ = probe(small, template_file, tmp_path / "p", method="hybrid")
    with pytest.raises(InputError, match="only 'sampled'"):
        rescore_levels(path, facts(), "word")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"parts": "dev"}, "parts must be some of"),
        ({"parts": "ood"}, "has no facts in ood"),
        ({"templates": 4}, "has 3 templates, but 4 are asked for"),
        ({"samples": 0}, "samples: input should be greater than or equal to 1, but got 0"),
        ({"method": "magic"}, "method: input should be 'auto'"),
    ],
)
def test_bad_settings_are_named(
    small: Small, template_file: str, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        probe(small, template_file, tmp_path / "p", **values)
    assert not (tmp_path / "p").exists()


def test_limit_spreads_over_relations(small: Small, tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text('R: ["c [X]"]\nS: ["d [X]"]\n', encoding="utf-8")
    given = FactSet(
        tuple(Fact(relation, f"{a} {b}", "c", f"{a} {b}") for relation in "RS" for a in "abcd" for b in "abcd")
    )
    _, levels = probe(small, str(file), tmp_path / "p", given, templates=1, limit=10)
    assert levels["relation"].value_counts()["count"].to_list() == [5, 5]


def test_examples_show_every_level_and_change_nothing_else(small: Small, template_file: str, tmp_path: Path) -> None:
    path, levels = probe(small, template_file, tmp_path / "p", method="sampled")
    examples = read_examples(path)
    assert examples is not None
    assert set(examples["level"]) == set(levels["level"])
    grade = dict(zip(levels["fact_id"], levels["level"], strict=True))
    for row in examples.iter_rows(named=True):
        fact = facts()[row["fact_id"]]
        assert row["level"] == grade[fact.id]
        assert row["prompt"] == TEMPLATES[row["template"]].replace("[X]", fact.subject)
        assert row["hit"] == contains(row["text"], fact.accepted)
    assert examples.group_by("fact_id").len()["len"].to_list() == [3] * examples["fact_id"].n_unique()
    (path / "examples.parquet").unlink()  # a probe of an earlier version kept none
    assert read_examples(path) is None


def limited(**values: object) -> list[str]:
    return [fact.id for fact in chosen_facts(many(60), ProbeSettings.make(limit=20, parts="train", **values))]


def test_seed_decides_the_draws_and_facts_seed_the_facts() -> None:
    assert limited(seed=5) == limited()
    assert limited(facts_seed=5) != limited()
    assert len(limited()) == 20


def test_a_fact_more_changes_at_most_one_choice() -> None:
    facts_of = {relation: [Fact(relation, f"{n}", "a", f"{n}") for n in range(12)] for relation in "RST"}
    everything = [fact for group in facts_of.values() for fact in group]
    how = ProbeSettings.make(limit=10, parts="train")
    for left_out in everything:
        fewer = FactSet(tuple(fact for fact in everything if fact is not left_out))
        before = {fact.id for fact in chosen_facts(fewer, how)}
        for order in (everything, everything[::-1]):
            after = {fact.id for fact in chosen_facts(FactSet(tuple(order)), how)}
            assert len(after) == 10
            assert len(before - after) == len(after - before) <= 1


def test_a_limited_probe_grades_first_what_a_limited_evaluation_asks() -> None:
    given = FactSet(tuple(Fact(r, f"{n}", "a", f"{r} {n}", split="test") for r in "RSTU" for n in range(50)))
    probed = {fact.id for fact in chosen_facts(given, ProbeSettings.make(limit=40))}
    asked = facts_of_part(given, "test", 10, 0)
    assert {fact.id for fact in asked} <= probed


def test_a_limited_probe_of_an_earlier_version_is_not_taken_for_this_one(
    small: Small, template_file: str, tmp_path: Path
) -> None:
    path, _ = probe(small, template_file, tmp_path / "p", limit=4)
    manifest = read_manifest(path)
    assert manifest.inputs.pop("facts of the limit") == "taken by facts_seed"
    (tmp_path / "p").rename(tmp_path / "new")
    with open_step("probe", manifest.settings, manifest.inputs, tmp_path / "p") as step:  # as it was written
        step.finish({})
    with pytest.raises(StepError, match="input facts of the limit was None, now 'taken by facts_seed'"):
        probe(small, template_file, tmp_path / "p", limit=4)
