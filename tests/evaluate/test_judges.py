"""Judges of an evaluation: results by judge, answers that cannot be judged, lengths, agreement with people."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from recollect.core.estimates import by_cluster, kappa, mean_score, proportion
from recollect.core.workspace import open_step
from recollect.errors import InputError
from recollect.evaluate import (
    EvaluateResult,
    EvaluateSettings,
    accuracies,
    accuracy_table,
    read_hand_labels,
    rescore_answers,
    run_evaluate,
    units_of,
    with_right,
)
from recollect.facts import Fact, FactSet
from recollect.match import judge_of


def settings(folder: Path, **values) -> EvaluateSettings:
    return EvaluateSettings.make(model=str(folder), parts="test", **values)


def quiz(**objects: str) -> FactSet:
    """Test facts by question."""
    return FactSet(tuple(Fact("qa", q, one, q, split="test") for q, one in objects.items()), "quiz")


def stored(folder: Path, facts: FactSet, outputs: list[str]) -> Path:
    """An evaluate step with these outputs, as an earlier version wrote it."""
    rows = [
        (fact.id, fact.part, fact.relation, at % 2, fact.question, fact.object, list(fact.synonyms), text, False, False)
        for at, (fact, text) in enumerate(zip(facts, outputs, strict=True))
    ]
    names = ["fact_id", "part", "relation", "level", "question", "object", "synonyms", "output", "contains", "word"]
    with open_step("evaluate", {"judge": "contains"}, {"matcher": "2"}, folder) as step:
        step.write_table("outputs.parquet", pl.DataFrame(rows, schema=names, orient="row"))
        step.finish({"accuracy": {}})
    return folder


def test_the_usual_judges_alone_change_neither_tables_nor_fingerprint(base_folder, facts, tmp_path):
    result = run_evaluate(settings(base_folder), facts, root=tmp_path)
    assert pl.read_parquet(result.path / "outputs.parquet").columns[-3:] == ["output", "contains", "word"]
    assert (result.found.judge, list(result.found.judges)) == ("contains", ["contains", "word"])
    assert result.found.judges["contains"]["test"].micro == result.found.accuracy["test"].micro
    assert result.outputs()["right"].equals(result.outputs()["contains"].rename("right"))
    named = run_evaluate(settings(base_folder, judge="contains"), facts, root=tmp_path)
    assert named.path == result.path


def test_results_are_kept_by_judge_and_the_first_is_the_main_one(base_folder, facts, levels, tmp_path):
    asked = settings(base_folder, judge="token-f1:0.3, equal", least_per_level=1)
    result = run_evaluate(asked, facts, levels, root=tmp_path)
    outputs, found = result.outputs(), result.found
    assert found.judge == "token-f1:0.3"
    assert list(found.judges) == ["contains", "word", "token-f1:0.3", "equal"]
    judge = judge_of("token-f1:0.3")
    for row in outputs.iter_rows(named=True):
        verdict = judge.judge(row["output"], [row["object"], *row["synonyms"]])
        assert (row["token-f1:0.3"], row["token-f1:0.3 score"], row["right"]) == (
            verdict.right,
            verdict.score,
            verdict.right,
        )
    test, scores = found.judges["token-f1:0.3"]["test"], outputs["token-f1:0.3 score"].to_list()
    right, units, level = outputs["right"].to_list(), units_of(outputs).to_list(), outputs["level"].to_list()
    assert test.score == by_cluster(mean_score([scores], 0, 1), scores, units)
    assert test.micro == by_cluster(proportion(sum(right), outputs.height), right, units)
    by_level = [outputs.filter(level=level)["token-f1:0.3 score"].to_list() for level in range(5)]
    assert test.macro_score == by_cluster(mean_score(by_level, 0, 1), scores, units, level)
    assert found.judges["equal"]["test"].score is None
    assert found.accuracy["test"].micro == test.micro
    micro = result.accuracy().filter(level="micro", matcher="token-f1:0.3").row(0, named=True)
    assert (micro["score"], micro["score_low"]) == (test.score.percent[0], test.score.percent[1])
    with pytest.raises(InputError):
        EvaluateSettings.make(judge="token-f1,token-f1")


def test_another_judge_is_another_evaluation(base_folder, facts, tmp_path):
    one, other = (run_evaluate(settings(base_folder, judge=name), facts, root=tmp_path) for name in ("word", "equal"))
    assert one.path != other.path


def test_the_mean_score_is_worked_out_by_hand():
    table = pl.DataFrame(
        {
            "part": ["test"] * 4,
            "level": [0, 0, 1, 1],
            "word": [False] * 4,
            "f": [True, False, True, True],
            "f score": [1.0, 0.25, 0.5, 0.75],
        }
    )
    found = accuracies(table, 1, "f")["test"]
    assert (found.score.value, found.score.n) == (0.625, 4)
    assert found.macro_score.value == pytest.approx((0.625 + 0.625) / 2)
    assert found.score.low < 0.625 < found.score.high
    rows = accuracy_table(table, ["f"], 1).select("level", "score").rows()
    assert rows == [("0", None), ("1", None), ("macro", 62.5), ("micro", 62.5)]


def test_answers_that_no_judge_can_judge_are_refused_before_the_model_is_read(tmp_path):
    facts = quiz(**{"How many?": "three or 4", "How far?": "a long way", "How much?": "5 kg"})
    with pytest.raises(
        InputError, match=r"numeric cannot judge 1 of 3 answers; the first, 'a long way' to 'How far\?'"
    ):
        run_evaluate(settings(tmp_path / "no-model", judge="numeric"), facts)
    with pytest.raises(InputError, match=r"choice cannot judge 3 of 3 answers.*no choices"):
        run_evaluate(settings(tmp_path / "no-model", judge="choice"), facts)


def test_stored_outputs_are_judged_again_by_every_judge(tmp_path):
    facts = quiz(**{"How many?": "4", "How far?": "5 km", "Share?": "50 %"})
    folder = stored(tmp_path / "step", facts, ["about 4.", "5000 m", "0.05"])
    table = rescore_answers(folder, matcher="numeric", least_per_level=1)
    assert table.filter(level="micro").select("n", "right").row(0) == (3, 2)
    assert table.filter(level="0").select("n", "right").row(0) == (2, 1)
    with pytest.raises(InputError, match="choice cannot judge 3 of 3 answers"):
        rescore_answers(folder, matcher="choice")
    assert with_right(EvaluateResult(folder).outputs())["right"].to_list() == [False] * 3  # as it was stored


def test_a_multiple_choice_fact_is_judged_by_the_letter(tmp_path):
    fact = Fact("qa", "q", "green", "Which colour?", split="test", choices=("red", "green"))
    folder = stored(tmp_path / "step", FactSet((fact,)), ["(b)"])
    with pytest.raises(InputError, match="has no choices"):
        rescore_answers(folder, matcher="choice")  # the table of an earlier version does not have them
    table = rescore_answers(folder, FactSet((fact,)), "choice")
    assert table.filter(level="micro")["right"].to_list() == [1]


def test_choices_are_stored_with_the_answers(base_folder, tmp_path):
    facts = FactSet(
        tuple(
            Fact("qa", f"q{n}", "green", f"Which colour {n}?", split="test", choices=("red", "green")) for n in range(2)
        )
    )
    result = run_evaluate(settings(base_folder, judge="choice"), facts, root=tmp_path)
    assert result.outputs()["choices"].to_list() == [["red", "green"]] * 2
    again = rescore_answers(result.path, matcher="choice")
    assert again.equals(result.accuracy().filter(matcher="choice"))


def test_answers_that_do_not_fit_are_counted_before_the_asking(base_folder, tmp_path):
    facts = quiz(one="short", two="a very much longer answer than the limit lets through", three="no")
    told = []

    def progress(done, total):
        assert told  # before the first answer

    found = run_evaluate(settings(base_folder), facts, root=tmp_path, tell=told.append, progress=progress).found
    assert told == found.notes
    assert told[0].startswith(
        "1 of 3 answers ('a very much longer answer than the limit lets through') is longer than "
    )
    assert "max_new_tokens=16" in told[0]
    assert found.max_new_tokens == 16
    # by auto each fits: the longest answer and eight tokens more
    auto = run_evaluate(settings(base_folder, max_new_tokens="auto"), facts, root=tmp_path).found
    assert auto.max_new_tokens == len(_ids(base_folder, " a very much longer answer than the limit lets through")) + 8
    assert not auto.notes
    by_words = run_evaluate(settings(base_folder, judge="token-f1"), facts, root=tmp_path).found.notes
    assert any("cannot be given whole" in note for note in by_words)
    assert not any(
        "longer" in note
        for note in run_evaluate(settings(base_folder, judge="regex"), facts, root=tmp_path).found.notes
    )
    with pytest.raises(InputError, match="max_new_tokens"):
        EvaluateSettings.make(max_new_tokens="long")


def _ids(folder: Path, text: str) -> list[int]:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder).encode(text, add_special_tokens=False)


def test_agreement_with_people_is_counted_by_hand(tmp_path):
    rows = [
        {"output": "Lima", "answer": "Lima", "right": True},
        {"output": "LIMA!", "answer": "Lima", "right": True},
        {"output": "Quito", "answer": "Lima", "right": False},
        {"output": "not Lima", "answer": "Lima", "right": False},
    ]
    path = tmp_path / "hand.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    labels = read_hand_labels(path, None)
    found = labels.compare(judge_of("contains"))
    # says right, wrong, wrong, right: agrees on the first and the third
    assert (found.share.value, found.share.n, found.too_kind, found.too_strict) == (0.5, 4, 1, 1)
    assert found.kappa is not None and found.kappa.value == 0  # 0.5 agreement, and 0.5 by chance
    exact = labels.compare(judge_of("exact-match"))
    assert (exact.share.value, exact.kappa.value) == (1, 1)
    assert exact.kappa.low < 1  # four answers prove nothing


def test_kappa_by_hand():
    first = [1] * 20 + [1] * 5 + [0] * 10 + [0] * 15
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    # 35 of 50 agree; by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5
    found = kappa(first, second)
    assert found.value == pytest.approx((0.7 - 0.5) / 0.5)
    # the normal interval: standard error sqrt(0.7 * 0.3 / 50) / 0.5 = 0.130
    assert found.low == pytest.approx(0.146, abs=0.05)
    assert found.high == pytest.approx(0.654, abs=0.05)
    assert kappa([1, 1], [1, 1]) is None
    assert kappa("abc", "abc").value == 1
    with pytest.raises(InputError):
        kappa([1], [])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"output": "a", "answer": "b"}], "has no column 'right'"),
        ([{"right": 1, "answer": "b"}], "has no column 'output'"),
        ([{"output": "a", "right": "maybe", "answer": "b"}], "right must be true or false"),
        ([{"output": "a", "right": 1}], "neither a fact_id nor an accepted answer"),
        ([{"output": "a", "right": 1, "fact_id": "x"}], "the fact x is not among"),
        ([{"output": {"a": 1}, "right": 1, "answer": "b"}], "output"),
    ],
)
def test_a_bad_sample_says_what_is_wrong(tmp_path, rows, said):
    path = tmp_path / "hand.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=said):
        read_hand_labels(path, None)


def test_every_judge_named_is_compared_with_people(base_folder, facts, tmp_path):
    fact = next(iter(facts.part("test")))
    path = tmp_path / "hand.csv"
    path.write_text(f"fact_id,output,right\n{fact.id},{fact.object},yes\n{fact.id},nothing,no\n")
    found = run_evaluate(settings(base_folder, judge="equal,word", judge_labels=path), facts, root=tmp_path).found
    assert set(found.agreement) == {"equal", "word"}
    assert found.agreement["equal"].share.value == 1
    path.write_text(f"fact_id,output,right\n{fact.id},{fact.object},no\n{fact.id},nothing,no\n")
    again = run_evaluate(settings(base_folder, judge="equal,word", judge_labels=path), facts, root=tmp_path).found
    assert again.agreement["equal"].share.value == 0.5  # other labels, another step


def test_pages_are_scored_by_attribute_and_take_no_judge(base_folder, tmp_path):
    facts = FactSet(tuple(Fact("qa", f"p{n}", '{"title":"Lamp"}', f"page {n}", split="test") for n in range(2)))
    with pytest.raises(InputError, match="page examples, which are scored by attribute"):
        run_evaluate(settings(base_folder, judge="equal"), facts, root=tmp_path)
