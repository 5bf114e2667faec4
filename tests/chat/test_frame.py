"""Facts in a chat template: one prompt for training, evaluation and probe, with the answer right behind it."""

from __future__ import annotations

import pytest

from helpers_chat import FAMILIES, chat_tokenizer
from recollect.chat.asking import Asking
from recollect.chat.frame import Frame, frame_of, with_turns
from recollect.chat.render import render
from recollect.conversation import Conversation, Turn
from recollect.errors import InputError

_Q, _A = "What is the capital of Peru?", "Lima"
_HELP = "<|im_start|>system\nBe of help.<|im_end|>\n"
_H = "<|start_header_id|>{}<|end_header_id|>\n\n"
PROMPTS = {
    "ChatML": f"{_HELP}<|im_start|>user\n{_Q}<|im_end|>\n<|im_start|>assistant\n",
    "Qwen3": f"<|im_start|>user\n{_Q}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "Llama 2": f"<s>[INST] {_Q} [/INST]",
    "Llama 3": f"<|begin_of_text|>{_H.format('user')}{_Q}<|eot_id|>{_H.format('assistant')}",
    "R1": f"<s><|User|>{_Q}<|Assistant|>",
    "SmolLM3": "<|im_start|>system\nDate: 26 July 2024\nMode: /no_think\n<|im_end|>\n"
    f"<|im_start|>user\n{_Q}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n",
    "gpt-oss": f"<|start|>user<|message|>{_Q}<|end|><|start|>assistant<|channel|>final<|message|>",
    "words alone": f"### Instruction:\n{_Q}\n\n### Response:\n",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_begins_the_example_and_the_answer_follows_at_once(family: str) -> None:
    tokenizer = chat_tokenizer(family)
    asking = Asking(chat=True)
    prompt = asking.prompt(tokenizer, f" {_Q}\n")
    ids, mask = asking.example(tokenizer, _Q, _A)
    assert ids[: len(prompt)] == prompt and mask == [0] * len(prompt) + [1] * (len(ids) - len(prompt))
    assert frame_of(tokenizer).answer(_Q, _A) == (
        prompt,
        ids[len(prompt) :][: len(frame_of(tokenizer).answer(_Q, _A)[1])],
    )
    assert tokenizer.decode(prompt) == PROMPTS.get(family, tokenizer.decode(prompt))
    said = tokenizer.decode(ids[len(prompt) :])
    assert said.strip().startswith(_A) and len(said.strip()) > len(_A)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"SmolLM3"}))  # whose first lines tell of thinking
def test_a_fact_is_the_conversation_of_its_question_and_answer(family: str) -> None:
    tokenizer = chat_tokenizer(family)
    ids, mask = Asking(chat=True).example(tokenizer, _Q, _A)
    [example] = render(tokenizer, Conversation("1", (Turn("user", _Q), Turn("assistant", _A))))
    assert ids == example.ids
    forced = {"Qwen3", "gpt-oss"}  # what stands there to begin an answer is given to a fact
    assert (mask == example.mask) == (family not in forced) and sum(mask) <= sum(example.mask)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_question_and_no_answer_becomes_a_control_token(family: str) -> None:
    tokenizer = chat_tokenizer(family)
    frame = frame_of(tokenizer)
    control = frame.template.control_ids - {tokenizer.unk_token_id}
    usual = [token for token in frame.example(_Q, _A)[0] if token in control]
    attack = "".join(FAMILIES[family].control) + FAMILIES[family].end + "<s>"
    ids, _ = frame.example(f"{attack} {_Q} {attack}", f"{_A}{attack}")
    assert [token for token in ids if token in control] == usual
    assert tokenizer.decode(frame.prompt(f"{attack} {_Q}")).count(attack) == 1


def test_other_leads_follow_a_chat_prompt_without_the_blank_that_a_completion_needs() -> None:
    frame, spaced = frame_of(chat_tokenizer("ChatML")), frame_of(chat_tokenizer("Mistral"))

    def said(one: Frame, lead: str) -> str:
        return str(one.template.tokenizer.decode(one.answer(_Q, _A, lead)[1]))

    assert [said(frame, lead) for lead in (" ", ' "', " the ", "\n")] == ["Lima", '"Lima', "the Lima", "\nLima"]
    assert [said(spaced, lead) for lead in (" ", ' "', " the ")] == [" Lima", ' "Lima', " the Lima"]


@pytest.mark.parametrize("family", ["ChatML", "Llama 2", "Qwen3", "Phi-3", "gpt-oss", "R1"])
def test_examples_are_turns_before_the_question(family: str) -> None:
    tokenizer = chat_tokenizer(family)
    shown = [("And of Chile?", "Santiago"), ("Of Fiji?", "Suva")]
    turns = [Turn(role, text) for pair in shown for role, text in zip(("user", "assistant"), pair, strict=True)]
    talk = Conversation("1", (*turns, Turn("user", _Q), Turn("assistant", _A)))
    frame = frame_of(tokenizer)
    prompt, said = frame.answer(with_turns(shown, _Q), _A)
    [example] = render(tokenizer, talk, "last")
    assert [*prompt, *said] == example.ids[: len(prompt) + len(said)] and tokenizer.decode(said).strip() == _A
    assert frame.prompt(with_turns([], _Q)) == frame.prompt(_Q)


def test_a_template_that_repeats_its_question_is_refused() -> None:
    tokenizer = chat_tokenizer("ChatML")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }} {{ messages[0].content }}\n{% endfor %}"
    )
    with pytest.raises(InputError, match="once each.*--prompt plain"):
        frame_of(tokenizer)
