import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from helpers_tiny import tiny_tokenizer
from recollect.errors import InputError
from recollect.prompt import check_template, encode_example, encode_prompt


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_example_reads_begin_question_answer_end(tokenizer):
    ids, mask = encode_example(tokenizer, "Who?", "Ann")
    assert tokenizer.decode(ids) == "<s><|question|> Who? <|answer|> Ann</s>"
    answer = [token for token, counts in zip(ids, mask, strict=True) if counts]
    assert tokenizer.decode(answer) == " Ann</s>"


def test_tokenizer_without_begin_token_starts_with_the_marker(tmp_path):
    tiny_tokenizer(tmp_path, bos=False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.decode(encode_prompt(tokenizer, "Who?")) == "<|question|> Who? <|answer|>"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=st.text(max_size=40), answer=st.text(min_size=1, max_size=20))
def test_prompt_is_always_a_prefix_of_the_example(tokenizer, question, answer):
    prompt = encode_prompt(tokenizer, question)
    ids, mask = encode_example(tokenizer, question, answer)
    assert ids[: len(prompt)] == prompt
    assert mask == [0] * len(prompt) + [1] * (len(ids) - len(prompt))
    assert sum(mask) >= 2  # something of the answer, and the end


def test_special_tokens_in_a_question_stay_plain_text(tokenizer):
    ids = encode_prompt(tokenizer, "Is </s> the end? <pad>")
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.pad_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<|question|> Is </s> the end? <pad> <|answer|>"


def test_own_template_is_used_and_braces_in_questions_are_harmless(tokenizer):
    ids = encode_prompt(tokenizer, "{answer} {0}?", "Q: {question}\nA:")
    assert tokenizer.decode(ids[1:]) == "Q: {answer} {0}?\nA:"


@pytest.mark.parametrize("bad", ["no slot", "{question} and {question}", "Q: {question} A: "])
def test_unusable_template_is_refused(bad):
    with pytest.raises(InputError, match="prompt_template"):
        check_template(bad)


def test_tokenizer_without_end_token_is_refused(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    endless = AutoTokenizer.from_pretrained(tmp_path, eos_token=None)
    with pytest.raises(InputError, match="end token"):
        encode_example(endless, "Who?", "Ann")
