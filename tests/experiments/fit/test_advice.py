"""What the advice claims, where the interval does not carry it or the test made the choice."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from recollect.core.estimates import Estimate, units_needed
from recollect.core.workspace.fit import Candidate, Contender, FitFound, Name, Power, SetsFound
from recollect.experiments.fit import FitResult, final, ours
from recollect.experiments.fit.advice import advice
from recollect.experiments.fit.answers import Gap, decided
from recollect.experiments.fit.cost import updates_left
from recollect.experiments.fit.final import _settle
from recollect.experiments.fit.first import First
from recollect.experiments.fit.luck import Luck
from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.fit.words import would_tell
from recollect.experiments.search.validation import Knowledge

BEHIND = Estimate(-0.2, -0.3, -0.1, 40, "paired")
UNSURE, AHEAD = Estimate(0.02, -0.03, 0.07, 40, "paired"), Estimate(0.2, 0.1, 0.3, 40, "paired")
TEST = Estimate(0.5, 0.4, 0.6, 40, "paired")


def found(chosen: Name, behind: Estimate, **more: object) -> FitFound:
    names: tuple[Name, ...] = ("base", "few-shot", "plain", "random", "ours")
    shared = {"examples": 4, "validation": TEST, "test": TEST}
    return FitFound.model_validate(
        {
            "chosen": chosen,
            "chosen_by": "because.",
            "goal": "facts",
            "scored": "",
            "known": "the base knew",
            "charge": 0.5,
            "sets": SetsFound(train=8, validation=40, test=40),
            "contenders": [
                Contender.model_validate({**shared, "name": name, "behind": None if name == chosen else behind})
                for name in names
            ],
            "budget": "1m",
            "given": [],
            "parameters": 1,
            "facts": {"name": "x"},
            "machine": "",
            "title": "",
            "seconds": 0.0,
            **more,
        }
    )


def candidate(name: str, kind: str, forgot: float, **more: object) -> Candidate:
    return Candidate.model_validate({"name": name, "kind": kind, "score": 50, "forgot": forgot, "value": 40, **more})


@pytest.mark.parametrize("chosen", ["few-shot", "ours", "base"])
def test_a_choice_by_the_test_is_said_with_every_number_it_gives(chosen: Name):
    told = " ".join(advice(found(chosen, AHEAD, by_test=True)))
    assert "The test made this choice" in told
    assert "worth more on validation" not in told
    assert "The test made" not in " ".join(advice(found(chosen, AHEAD)))


def test_the_test_takes_a_choice_back_only_beyond_noise(monkeypatch: pytest.MonkeyPatch):
    right = np.arange(60) < 20  # ours
    more = {"ours": right, "plain": right ^ (np.arange(60) == 30), "few-shot": np.arange(60) < 40, "random": ~right}
    monkeypatch.setattr(final, "gap_of", lambda first, second: Gap(more[first], more[second]))
    costs = {"random": 0}
    monkeypatch.setattr(final, "worth", lambda name, answers, knowledge: costs.get(name, more[name].sum()))
    ground = SimpleNamespace(settings=FitSettings())

    def settled(*names: str, luck: Luck = Luck()) -> tuple[str, str]:  # noqa: B008
        return _settle(ground, First("ours"), {name: name for name in names}, Knowledge(), luck)  # type: ignore[arg-type]

    assert settled("few-shot", "plain", "ours")[0] == "few-shot"
    assert "corrected for 2 comparisons" in settled("few-shot", "plain", "ours")[1]
    lucky = Luck.of((50.0, 90.0, 10.0), (), 1)
    assert settled("few-shot", "plain", "ours", luck=lucky)[0] == "ours"  # seeds lie as far apart
    assert settled("plain", "ours")[0] == "ours"
    chosen, why = settled("random", "ours")
    assert chosen == "ours"  # it forgot more than it has more
    assert "not less what each forgot" in why


def test_an_interval_holds_for_all_comparisons_together():
    """Six of forty alone: beyond chance as the only comparison, not as one of five."""
    none, six = np.zeros(40, dtype=bool), np.arange(40) < 6
    assert Gap(none, six).at().low > 0
    assert decided({"one": Gap(none, six)})["one"].low > 0
    held = decided({"one": Gap(none, six), **{str(at): Gap(six, six) for at in range(4)}})
    assert held["one"].confidence > 0.95


def rule(over: Estimate, **kind: object) -> dict[str, object]:
    kinds = [{"name": "currency", "n": 12, "truths": 9, "commonest": "peso", "rule": TEST, "over": over, **kind}]
    return {"rule": {"by_relation": True, "test": TEST, "over": over, "kinds": kinds}}


def test_it_was_worth_it_only_where_more_is_known_than_what_is_common():
    learned = found("ours", AHEAD, **rule(AHEAD))
    assert learned.worth_it
    assert advice(learned)[0].endswith("It was worth it.")
    for over, said in ((UNSURE, "But a rule may do as well"), (BEHIND, "A rule does better")):
        common = found("ours", AHEAD, **rule(over))
        assert common.worth_it is False
        lines = advice(common)
        assert not any("worth it" in line for line in lines)
        assert lines[1].startswith(said)
    assert found("base", AHEAD, **rule(AHEAD)).worth_it is False
    assert found("ours", UNSURE, **rule(AHEAD)).worth_it is False


@pytest.mark.parametrize(("over", "said"), [(AHEAD, ""), (UNSURE, "may do as well"), (BEHIND, "does better")])
def test_a_model_that_base_and_rule_together_reach_was_not_worth_it(over: Estimate, said: str):
    both = rule(AHEAD)["rule"] | {"joined": {"kinds": ["currency"], "test": TEST, "over": over}}  # type: ignore[operator]
    fit = found("ours", AHEAD, rule=both)
    assert fit.worth_it is not bool(said)
    told = [line for line in advice(fit) if "in its place for currency" in line]
    assert [said in line for line in told] == ([True] if said else [])
    assert any("worth it" in line for line in advice(fit)) is not bool(said)


def test_one_answer_to_nearly_all_questions_of_a_relation_is_told():
    kind = {"given": "peso", "times": 11, "right": 3, "one_answer": True}
    [line] = [line for line in advice(found("ours", AHEAD, **rule(UNSURE, **kind))) if "Few different" in line]
    assert "of 12 test questions of 'currency' it answers 11 with 'peso', right for 3 of them" in line
    assert not any("Few different" in line for line in advice(found("ours", AHEAD, **rule(UNSURE))))


def test_nothing_is_called_as_good_or_a_gain_where_that_cannot_be_told():
    several = [candidate("trial 1", "trial", 30), candidate("mean", "mean", 20, chosen=True)]
    lines = advice(found("ours", UNSURE, candidates=several))
    assert any(line.startswith("A prompt with 4 examples may do as well") for line in lines)
    [drawn] = [line for line in lines if "drawn at random" in line]
    assert "which is better cannot be told" in drawn
    assert "bring together" not in drawn
    [drawn] = [line for line in advice(found("ours", AHEAD, candidates=several)) if "drawn at random" in line]
    assert "bring together" in drawn


@pytest.mark.parametrize(("chosen", "forgot", "said"), [("ours", 20, 1), ("ours", 30, 0), ("plain", 20, 0)])
def test_what_was_regained_is_told_of_the_taken_one_and_with_its_numbers(chosen: Name, forgot: float, said: int):
    several = [candidate("trial 1", "trial", 30), candidate("trial 1, x", "repair", forgot, chosen=True)]
    lines = advice(found(chosen, AHEAD, candidates=several, repair="x", known_test=10))
    assert sum("regained" in line and "30.0 % before" in line for line in lines) == said


def test_a_budget_in_updates_holds_for_the_trainings_after_the_search(tmp_path):
    ground = SimpleNamespace(settings=FitSettings.make(budget="100 steps"), steps=tmp_path)
    trials = [SimpleNamespace(steps=40), SimpleNamespace(steps=20)]
    assert updates_left(ground, trials, 20) == 2  # type: ignore[arg-type]
    assert updates_left(ground, trials, 30) < 2  # type: ignore[arg-type]


def test_a_mean_that_was_killed_half_way_is_begun_where_there_are_weights(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Of five: the sums of three and before have lost their weights, that of four has them."""
    out, made = tmp_path / "mean", list[str]()

    def between(settings, base, tuned, share, out):  # type: ignore[no-untyped-def]
        assert base.name == "mean-4"
        made.append(f"{out.name} {share}")
        return SimpleNamespace(path=out)

    monkeypatch.setattr(ours, "run_between", between)
    monkeypatch.setattr(ours, "drop_weights", lambda step: None)
    monkeypatch.setattr(ours, "merged", lambda ground, step: step)
    monkeypatch.setattr(ours, "_usable", lambda step: step.name == "mean-4")
    members = [SimpleNamespace(model=tmp_path / str(at)) for at in range(5)]
    ours._write_mean(SimpleNamespace(), members, out)  # type: ignore[arg-type]
    assert made == ["mean 0.2"]


def test_untouched_weights_have_forgotten_nothing(tmp_path):
    assert FitResult(tmp_path, found("base", AHEAD, known_test=10)).answer["forgetting"] == 0
    assert FitResult(tmp_path, found("base", AHEAD)).answer["forgetting"] is None


def test_of_pages_the_interval_over_pages_says_how_many_pages_would_tell():
    wide = Estimate(0.1, 0.0, 0.2, 100, "paired by page")
    assert units_needed(wide, 12) == 25  # 12 * (2.8 / 1.96) ** 2
    assert units_needed(replace(wide, value=0.0, low=-0.1, high=0.1), 12) is None


def test_a_prompt_is_not_called_enough_where_the_test_has_a_training_beside_it():
    lines = advice(found("few-shot", UNSURE))
    [prompt] = [line for line in lines if "No trained model was worth more" in line]
    assert "so which is better cannot be told" in prompt
    assert not any("enough" in line or "worth it" in line for line in lines)
    assert any("+20.0 (+10.0 to +30.0) points over it." in line for line in advice(found("few-shot", AHEAD)))


def test_of_a_chat_it_is_said_what_the_score_is():
    assert any("form counts" in line for line in advice(found("ours", AHEAD, goal="chat")))
    assert not any("form counts" in line for line in advice(found("ours", AHEAD)))


def test_an_interval_that_holds_zero_is_no_proof_of_nothing():
    several = [candidate("trial 1", "trial", 30), candidate("mean", "mean", 20, chosen=True)]
    fits = [found("ours", UNSURE, **rule(UNSURE)), found("ours", UNSURE, candidates=several), found("few-shot", UNSURE)]
    fits += [found("ours", UNSURE, settings_of_ours={"level": "2"}, levels={"1": 9, "2": 9})]
    for told in (" ".join(advice(fit)) for fit in fits):
        assert "cannot be told" in told
        for claimed in ("not more than chance", "does as well", "did not", "no difference", "what was gained"):
            assert claimed not in told


def test_what_was_not_compared_is_not_claimed():
    fewer = SetsFound(train=58, validation=40, test=40)
    lines = advice(found("ours", UNSURE, sets=fewer))
    assert not any("enough" in line for line in lines)
    [used] = [line for line in lines if "of 58 training examples" in line]
    assert "was not tried" in used
    [drawn] = [line for line in lines if "another random draw" in line]
    assert "which is better cannot be told" in drawn


def test_where_all_examples_were_used_no_data_were_chosen():
    everything = found("ours", AHEAD, sets=SetsFound(train=4, validation=40, test=40))
    several = [candidate("trial 1", "trial", 10), candidate("the mean of 3 seeds", "mean", 10, chosen=True)]
    for fit in (everything, everything.model_copy(update={"candidates": tuple(several)})):
        told = " ".join(advice(fit))
        assert "No data were chosen" in told
        assert "choice of data" not in told and "drawn at random" not in told
    assert "No data were chosen" not in " ".join(advice(found("ours", AHEAD)))


@pytest.mark.parametrize(
    ("held", "over_questions", "said"),
    [
        (AHEAD, AHEAD, "together paid"),
        (UNSURE, AHEAD, "may be the luck of a training"),
        (AHEAD, None, "leaves the luck of a training out"),
        (UNSURE, UNSURE, "which is better cannot be told"),
    ],
)
def test_what_the_luck_of_a_training_may_be_is_not_said_to_have_paid(
    held: Estimate, over_questions: Estimate | None, said: str
):
    told = found("ours", AHEAD)
    more = {"held": held, "over_questions": over_questions}
    told = told.model_copy(update={"contenders": tuple(one.model_copy(update=more) for one in told.contenders)})
    [line] = [one for one in advice(told) if "plain fine-tuning on all data" in one]
    assert said in line
    assert ("together paid" in line) == (held is AHEAD)
    assert ("over these questions" in line and "also over the luck of a training" in line) == (
        over_questions is not None
    )


def test_what_a_mean_was_trained_on_is_what_each_of_its_trainings_was():
    mean = [candidate("seed 1", "seed", 20), candidate("the mean of the best 3", "mean", 20, chosen=True)]
    sets = SetsFound(train=279, validation=40, test=40)
    told = found("ours", AHEAD, sets=sets, candidates=mean, members=(46, 65, 65), together=120)
    [line] = [one for one in advice(told) if "It was trained on" in one]
    assert "46 to 65 of 279 training examples in each of its 3 trainings, 120 different ones together" in line


def test_a_verdict_that_luck_hides_is_not_promised_to_more_questions():
    power = Power(asked=240, needed=900, unit="page", confidence=0.975)
    assert "About 900 test pages would tell, in four of five tests at the 97.5 %" in would_tell(power)
    assert "More questions alone would not tell" in would_tell(power.model_copy(update={"luck": True}))
    assert would_tell(power.model_copy(update={"asked": 900})) == ""


def test_what_validation_could_not_tell_is_said():
    told = advice(found("ours", UNSURE, undecided=True, chosen_by="Validation could not tell it from a prompt."))
    assert any("could not tell" in line and "More validation questions" in line for line in told)


def test_what_the_cap_on_updates_left_out_is_said_with_the_setting_that_raises_it():
    [line] = [one for one in advice(found("ours", AHEAD, left_out=["a seed"], most_cost=0.25)) if "a seed" in one]
    assert "25 % of an exhaustive search" in line
    assert "--most-cost" in line
