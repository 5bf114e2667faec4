import math

import numpy as np
import polars as pl
import pytest
import torch

from enumerable import load_small
from helpers_tiny import tiny_facts, tiny_levels
from recollect.drift.kl import Head, Reading, Summary, divergences, head_of, hidden_states, losses, summary
from recollect.drift.tokens import (
    answer_readings,
    best_templates,
    check_same_tokens,
    first_token_kl,
    known_best,
    mapping_readings,
    question_readings,
    ten_logit_kl,
    text_readings,
)
from recollect.errors import InputError, ModelError
from recollect.facts import Fact, Relation
from recollect.models import ModelSettings, load
from recollect.prompt import encode_prompt


@pytest.fixture(scope="module")
def pocket():
    return load(ModelSettings())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return load_small(tmp_path_factory.mktemp("small"))


def distributions(vocabulary=1000, tokens=700, width=8, seed=0, scale=3.0):
    """Two random heads and hidden states: next-token laws that are neither flat nor sure."""
    generator = torch.Generator().manual_seed(seed)
    states = [torch.randn(tokens, width, generator=generator) for _ in range(2)]
    heads = [Head(torch.randn(vocabulary, width, generator=generator) * scale) for _ in range(2)]
    return states[0], heads[0], states[1], heads[1]


def by_hand(a, a_head, b, b_head):
    """KL(a || b) in float64 over the whole vocabulary at once."""
    p, q = (
        torch.log_softmax(state.double() @ head.weight.double().T, dim=1) for state, head in ((a, a_head), (b, b_head))
    )
    return (p.exp() * (p - q)).sum(dim=1).numpy()


def test_full_kl_equals_the_definition_in_both_directions():
    a, a_head, b, b_head = distributions()
    found = divergences(a, a_head, b, b_head, chunk=64)
    assert found.forward == pytest.approx(by_hand(a, a_head, b, b_head), rel=1e-5, abs=1e-6)
    assert found.backward == pytest.approx(by_hand(b, b_head, a, a_head), rel=1e-5, abs=1e-6)
    tops = [(state @ head.weight.T).argmax(dim=1) for state, head in ((a, a_head), (b, b_head))]
    assert (found.same_top == (tops[0] == tops[1]).numpy()).all()


@pytest.mark.parametrize("chunk", [1, 7, 999, 1000, 5000])
def test_chunk_size_does_not_matter(chunk):
    a, a_head, b, b_head = distributions(tokens=40)
    whole = divergences(a, a_head, b, b_head, chunk=1000)
    parts = divergences(a, a_head, b, b_head, chunk=chunk)
    assert np.abs(whole.forward - parts.forward).max() <= 1e-6 * max(1, whole.forward.max())
    assert np.abs(whole.backward - parts.backward).max() <= 1e-6 * max(1, whole.backward.max())
    assert (whole.same_top == parts.same_top).all()
    targets = list(range(40))
    assert losses(a, a_head, targets, chunk=chunk) == pytest.approx(losses(a, a_head, targets), rel=1e-6)


def test_chunk_size_does_not_matter_for_near_equal_distributions_with_large_logits():
    a, a_head, _, _ = distributions(tokens=200, scale=10.0)
    near = a + 1e-3
    found = [divergences(a, a_head, near, a_head, chunk=chunk).forward for chunk in (1000, 64, 3)]
    assert np.abs(found[0] - found[1]).max() <= 1e-6
    assert np.abs(found[0] - found[2]).max() <= 1e-6
    assert found[0] == pytest.approx(by_hand(a, a_head, near, a_head), abs=1e-5)


def test_kl_of_a_distribution_from_itself_is_exactly_zero():
    a, head, _, _ = distributions()
    found = divergences(a, head, a, head, chunk=64)
    assert (found.forward == 0).all() and (found.backward == 0).all() and found.same_top.all()


def test_kl_is_never_negative_even_where_rounding_would_make_it_so():
    a, head, _, _ = distributions(tokens=2000, scale=8.0)
    nudged = Head(head.weight * (1 + 1e-7))
    assert (divergences(a, head, a, nudged, chunk=100).forward >= 0).all()
    assert (divergences(a, head, a * (1 + 1e-7), head, chunk=100).backward >= 0).all()


def test_losses_are_minus_the_log_probability_of_the_target():
    a, head, _, _ = distributions(tokens=600)
    targets = [(7 * at) % 1000 for at in range(600)]
    wanted = -torch.log_softmax(a.double() @ head.weight.double().T, dim=1)[range(600), targets].numpy()
    assert losses(a, head, targets, chunk=33) == pytest.approx(wanted, abs=1e-4)


def test_vocabularies_of_unlike_size_are_compared_on_what_both_have():
    a, a_head, b, b_head = distributions()
    longer = Head(torch.cat([b_head.weight, torch.full((5, 8), 9.0)]))
    same = divergences(a, a_head, b, b_head).forward
    assert divergences(a, a_head, b, longer).forward == pytest.approx(same)


def test_a_head_with_bias_scale_and_cap_gives_capped_logits():
    weight, bias = torch.eye(3), torch.tensor([1.0, 0.0, -1.0])
    head = Head(weight, bias, scale=2.0, cap=5.0)
    hidden = torch.tensor([[1.0, 2.0, 3.0]])
    assert head.logits(hidden, 0, 2)[0].tolist() == pytest.approx([5 * math.tanh(4 / 5), 5 * math.tanh(4 / 5)])


def test_hidden_states_and_head_give_the_models_own_logits_whatever_the_batch(pocket):
    texts = ["Born in", "The capital of the region is well known", "a"]
    readings = [
        Reading(tuple(pocket.tokenizer.encode(text)), (0, len(pocket.tokenizer.encode(text)) - 1)) for text in texts
    ]
    one, three = (hidden_states(pocket.model, readings, size) for size in (1, 3))
    ours = head_of(pocket.model).logits(three)
    with torch.inference_mode():
        own = [pocket.model(input_ids=torch.tensor([list(r.ids)])).logits[0, list(r.at)] for r in readings]
    assert torch.allclose(ours, torch.cat(own), atol=1e-3)
    assert torch.allclose(one, three, atol=1e-4)


def test_a_model_whose_logits_are_made_otherwise_is_refused(small, monkeypatch):
    model = small.loaded.model
    monkeypatch.setattr(model.lm_head, "forward", lambda states: 2 * states @ model.lm_head.weight.T)
    with pytest.raises(ModelError, match="--no-tokens"):
        hidden_states(model, [Reading((0, 3, 4), (2,))])


def test_ten_logit_kl_by_hand():
    tuned, base = torch.tensor([[math.log(0.5), math.log(0.25)]]), torch.tensor([[math.log(0.2), math.log(0.6)]])
    kl, p, q = ten_logit_kl(tuned.double(), base.double())
    assert p[0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert q[0].tolist() == pytest.approx([1 / 4, 3 / 4])
    assert kl.item() == pytest.approx(2 / 3 * math.log(8 / 3) + 1 / 3 * math.log(4 / 9))


def test_first_token_kl_takes_the_tuned_models_ten_largest_and_the_bases_logits_of_the_same():
    a, a_head, b, b_head = distributions(vocabulary=50, tokens=70)
    found = first_token_kl(a, a_head, b, b_head)
    ours, theirs = a @ a_head.weight.T, b @ b_head.weight.T
    for row in (0, 69):
        ids = sorted(range(50), key=lambda entry: -ours[row, entry].item())[:10]
        p, q = torch.softmax(ours[row, ids].double(), 0), torch.softmax(theirs[row, ids].double(), 0)
        assert found.ids[row].tolist() == ids
        assert found.kl[row] == pytest.approx((p * (p / q).log()).sum().item(), rel=1e-5)
        assert found.tuned[row].tolist() == pytest.approx(p.tolist(), rel=1e-5)
        assert found.base[row].tolist() == pytest.approx(q.tolist(), rel=1e-4)


def test_first_token_kl_of_a_model_from_itself_is_exactly_zero():
    a, head, _, _ = distributions()
    assert (first_token_kl(a, head, a, head).kl == 0).all()


def test_first_token_kl_of_a_model_with_few_entries_takes_them_all(small):
    states = hidden_states(small.loaded.model, [Reading((0, 3), (1,))])
    head = head_of(small.loaded.model)
    assert first_token_kl(states, head, states, head).ids.shape == (1, 7)


def test_the_best_template_has_the_highest_rate_and_of_equal_ones_comes_first():
    table = pl.DataFrame(
        {
            "relation": ["P17"] * 3 + ["P19"] * 2,
            "template": [0, 1, 2, 1, 0],
            "rate": [0.1, 0.3, 0.2, 0.5, 0.5],
            "facts": [5] * 5,
        }
    )
    assert best_templates(table) == {"P17": 1, "P19": 0}


def test_only_in_domain_test_facts_of_level_four_are_measured():
    facts = tiny_facts(2, test=6, ood=9)
    levels = tiny_levels(facts)
    best = known_best(list(facts), levels)
    wanted = set(levels.filter(pl.col("level") == 4)["fact_id"]) & {fact.id for fact in facts.part("test")}
    assert {fact.id for fact in best} == wanted != set()


def test_the_tuned_model_reads_the_question_and_the_base_the_mapping_prompt(pocket):
    fact = Fact("P36", "Ulm", "Oslo", "What is the capital of Ulm?", split="test")
    relation = Relation("P36", "capital", "in-domain", "What is the capital of [X]?", ("[X] has", "Capital of [X] is"))
    question = question_readings(pocket.tokenizer, [fact])[0]
    mapping = mapping_readings(pocket.tokenizer, [fact], {"P36": relation}, {"P36": 1})[0]
    assert list(question.ids) == encode_prompt(pocket.tokenizer, fact.question)
    assert pocket.tokenizer.decode(mapping.ids) == "<s>Capital of Ulm is"
    assert question.at == (len(question.ids) - 1,) and mapping.at == (len(mapping.ids) - 1,)


def test_answers_are_read_at_the_positions_that_predict_them_and_their_end(pocket):
    fact = Fact("P36", "Ulm", "Oslo", "What is the capital of Ulm?", split="test")
    reading = answer_readings(pocket.tokenizer, [fact])[0]
    predicted = [reading.ids[at + 1] for at in reading.at]
    assert pocket.tokenizer.decode(predicted[:-1]) == " Oslo"
    assert predicted[-1] == pocket.tokenizer.eos_token_id


def test_general_text_is_cut_and_stops_at_the_wanted_number_of_tokens(pocket):
    texts = ["one two three four five"] * 10
    cut = text_readings(pocket.tokenizer, texts, longest=4)
    assert all(len(reading.ids) == 4 and reading.at == (0, 1, 2) for reading in cut) and len(cut) == 10
    assert len(text_readings(pocket.tokenizer, texts, longest=4, tokens=7)) == 3


def test_other_ids_for_the_same_text_are_an_error():
    with pytest.raises(InputError, match="tokenizers"):
        check_same_tokens([Reading((1, 2), (0,))], [Reading((1, 3), (0,))])


def test_summary_has_mean_error_quantiles_and_share_of_equal_tops():
    values = np.arange(1, 1002, dtype=float)
    found = summary(values, values < 501.5)
    assert (found.n, found.mean, found.median, found.max) == (1001, 501, 501, 1001)
    assert (found.p90, found.p99, found.p99_9) == (901, 991, 1000)
    assert found.se == pytest.approx(values.std(ddof=1) / math.sqrt(1001))
    assert found.same_top == pytest.approx(501 / 1001)
    assert summary(values[:0]) == Summary(n=0)


def test_tokens_of_one_text_are_not_independent():
    """Texts of four tokens that are all alike say what the texts do; texts of one token each, what tokens do."""
    texts = np.random.default_rng(2).gamma(2, 1, 60)
    alone, together = summary(texts), summary(np.repeat(texts, 4), texts=np.repeat(np.arange(60), 4).tolist())
    assert together.se == pytest.approx(alone.se)
    assert together.se > 1.9 * summary(np.repeat(texts, 4)).se
    assert summary(texts, texts=range(60)) == alone
    assert summary(texts, texts=[0] * 60).se is None
