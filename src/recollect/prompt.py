"""The fine-tuning prompt, used by training and by evaluation alike; tokenised in `encoding`, as every prompt is.

Notable choices
- The text is `<|question|> {question} <|answer|>`, continued by ` {answer}` and the end token; the begin
  token stands first where the tokenizer has one (docs/studies.md §3, derived). The markers are plain text, never new
  tokens.
- No text becomes a special token, so a question that holds `</s>` cannot end its own prompt.
- The prompt's ids are always a prefix of the example's ids: what training conditions on is what evaluation
  gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from recollect.errors import InputError
from recollect.generate.encoding import answer_ids, decode, prompt_ids
from recollect.match import contains, word

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


def prompt_text(question: str, template: str = DEFAULT_TEMPLATE) -> str:
    """The text of a question's prompt."""
    return template.replace(SLOT, question)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, question: str, template: str = DEFAULT_TEMPLATE) -> list[int]:
    """The token ids of a question's prompt, begin token first where the tokenizer has one."""
    return prompt_ids(tokenizer, [prompt_text(question, template)])[0]


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
    [(prompt, said)] = answer_ids(tokenizer, [prompt_text(question, template)], [answer])
    completion = [*said, int(tokenizer.eos_token_id)]
    return prompt + completion, [0] * len(prompt) + [1] * len(completion)


def check_answers(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[tuple[list[int], list[int]]], answers: Sequence[str]
) -> list[str]:
    """Notes on answers that an example cannot teach, since the tokenizer writes another text; [] when all are right.

    InputError when most of them come out as another answer even without case: the training would teach unknown words.
    """
    taught = [
        decode(tokenizer, [token for token, counts in zip(ids[:-1], mask[:-1], strict=True) if counts])
        for ids, mask in examples
    ]
    pairs = list(zip(taught, answers, strict=True))
    changed = [(text, answer) for text, answer in pairs if not contains(text, [answer])]
    lost = [(text, answer) for text, answer in changed if not word(text, [answer])]
    if not changed:
        return []
    text, answer = (lost or changed)[0]
    seen = f"for example {answer[:60]!r} as {text[:60].strip()!r}"
    if 2 * len(lost) > len(answers):
        raise InputError(
            f"the tokenizer cannot write {len(lost):,} of {len(answers):,} answers ({seen}), so training would teach "
            "something else. Take a model whose vocabulary covers them."
        )
    kind = "has no tokens for" if lost else "changes upper and lower case of"
    count = len(lost or changed)
    return [f"The tokenizer {kind} {count:,} of {len(answers):,} answers ({seen}); these are taught as it writes them."]
