"""Settings of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from recollect.chat.asking import Prompt
from recollect.core.estimates import LEAST_PER_LEVEL
from recollect.core.settings import Name, PathOrName
from recollect.engines import EngineSettings
from recollect.errors import InputError
from recollect.evaluate.judges import JudgeSettings
from recollect.extraction.values import Decode
from recollect.facts import Part
from recollect.prompt import DEFAULT_TEMPLATE, PromptTemplate

PARTS: tuple[Part, ...] = ("test", "ood", "train")


def _check_parts(text: str) -> str:
    parts = [part.strip() for part in text.split(",")]
    if not all(part in PARTS for part in parts) or len(set(parts)) < len(parts):
        raise InputError(f"parts must name test, ood or train, each at most once, but got {text!r}")
    return ",".join(part for part in PARTS if part in parts)


class EvaluateSettings(JudgeSettings, EngineSettings):
    """Which answers to ask a model for, and how to decode them.

    Examples:
        >>> from recollect import EvaluateSettings
        >>> EvaluateSettings.make(model="pocket", parts="test", limit=20).parts
        'test'
    """

    runtime_only: ClassVar[set[str]] = {"model", "facts", "levels", "batch_size", "judge_labels", "data", "words_of"}
    later_fields: ClassVar[set[str]] = {
        *EngineSettings.later_fields,
        *JudgeSettings.later_fields,
        "decode",
        "shots",
        "prompt",
        "own_words",
    }

    facts: Name = "pocket"
    """A facts step directory, a data file, or "pocket"."""
    data: PathOrName | None = None
    """Chat data to ask instead of facts, a file or a folder: of each conversation all up to its last answer, in the
    model's chat template, judged against that answer (by token-f1 and with max_new_tokens auto, unless given)."""
    levels: Path | None = None
    """The base model's probe step directory; without it, accuracy is not split by memory level."""
    parts: Annotated[str, AfterValidator(_check_parts)] = "test,ood"
    """Parts of the facts to ask: test (in-domain), ood (out-of-domain), train."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """At most this many facts per part, drawn at random, the same ones for every model; all by default."""
    seed: int = 0
    """Decides which facts a limit takes, and which examples stand before a question. Decoding is greedy and draws
    nothing."""
    shots: Annotated[int, Field(ge=0)] = 0
    """So many training facts with their answers stand before each question (few-shot), in a chat template as turns; for
    a model that was not taught the prompt."""
    own_words: Annotated[int, Field(ge=0)] = 0
    """With so many of the asked texts the model also goes on by itself, without a prompt; what it says is stored in
    words.parquet, for words_of. 0: none."""
    words_of: Path | None = None
    """An evaluate step of the untouched base with own_words: which probability this model gives its words is stored in
    expected.parquet. It shows what a training costs a base that answers no question."""
    max_new_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = 16
    """Longest answer in tokens; 16 as in the papers, for pages 256, unless given. auto: as long as the longest accepted
    answer that is asked for, and a few more. How many answers do not fit is said before the asking."""
    judge_labels: Path | None = None
    """A file of answers that were judged by hand (output, right, and fact_id or question and answer): how far each
    judge agrees with it is printed, with Cohen's kappa."""
    least_per_level: Annotated[int, Field(ge=1)] = LEAST_PER_LEVEL
    """A memory level with fewer facts than this is shown and does not enter the macro accuracy: a level of one or two
    facts would decide it."""
    decode: Decode = "plain"
    """For pages: plain counts an answer that is no JSON as empty; repaired also reports, apart, what a JSON repair
    makes of it."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Questions decoded side by side; the unit in which a killed evaluation resumes."""
    prompt: Prompt = "auto"
    """What questions are asked in. chat: the model's own chat template, a question as the user's turn. plain:
    prompt_template. auto: as the model was trained here; else chat where it has a template and no prompt_template is
    given."""
    prompt_template: PromptTemplate = DEFAULT_TEMPLATE
    """The plain prompt the model was fine-tuned with, with {question} in it."""
