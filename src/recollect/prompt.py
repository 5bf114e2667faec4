"""The fine-tuning prompt: one tokenisation, used by training and by evaluation alike.

Notable choices
- The text is `<|question|> {question} <|answer|>`, continued by ` {answer}` and the end token; the begin
  token stands first where the tokenizer has one (docs/studies.md §3, derived). The markers are plain text, never new
  tokens.
- No text becomes a special token, so a question that holds `</s>` cannot end its own prompt.
- The prompt's ids are always a prefix of the example's ids: what training conditions on is what evaluation
  gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from recollect.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SLOT = "{question}"
DEFAULT_TEMPLATE = "<|question|> {question} <|answer|>"


def check_template(template: str) -> str:
    """Return the template; InputError when it lacks the slot {question}, or ends in white space."""
    if template.count(SLOT) != 1:
        raise InputError(f"prompt_template must hold {SLOT} exactly once, but got {template!r}.")
    if template != template.rstrip():
        raise InputError(
            f"prompt_template must not end in white space (the answer brings its own), but got {template!r}."
        )
    return template


PromptTemplate = Annotated[str, AfterValidator(check_template)]
"""The type of a `prompt_template` setting."""


def encode_prompt(tokenizer: PreTrainedTokenizerBase, question: str, template: str = DEFAULT_TEMPLATE) -> list[int]:
    """The token ids of a question's prompt, begin token first where the tokenizer has one."""
    begin = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
    return begin + _ids(tokenizer, template.replace(SLOT, question))


def encode_example(
    tokenizer: PreTrainedTokenizerBase, question: str, answer: str, template: str = DEFAULT_TEMPLATE
) -> tuple[list[int], list[int]]:
    """The token ids of a training example and its completion mask (1 on the answer and the end token, else
    0).

    Prompt and answer are encoded together, as a model meets them in running text; where that would change the
    prompt's own ids, the answer is encoded on its own. Raises InputError for a tokenizer without an end
    token.
    """
    if tokenizer.eos_token_id is None:
        raise InputError("the tokenizer has no end token (eos_token), which every training example must end with.")
    prompt = encode_prompt(tokenizer, question, template)
    begin = prompt[:1] if tokenizer.bos_token_id is not None else []
    whole = begin + _ids(tokenizer, f"{template.replace(SLOT, question)} {answer}")
    if whole[: len(prompt)] != prompt or len(whole) == len(prompt):
        whole = prompt + _ids(tokenizer, f" {answer}")
    whole.append(int(tokenizer.eos_token_id))
    return whole, [0] * len(prompt) + [1] * (len(whole) - len(prompt))


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))
