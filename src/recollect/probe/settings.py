"""Settings of the probe, and what it found."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from recollect.chat.asking import Written
from recollect.core.settings import Name, PathOrName
from recollect.core.workspace.result import Result
from recollect.engines import EngineSettings
from recollect.errors import InputError
from recollect.match import DEFAULT_JUDGE, judge_of
from recollect.probe.prompts import OtherPrompt

Way = Literal["sampled", "adaptive", "closed-form", "hybrid"]
"""How facts are graded."""
Method = Literal["auto", "sampled", "adaptive", "closed-form", "hybrid"]
"""What can be asked for: a way, or the one that suits the model."""


def _check_judge(name: str) -> str:
    if name.partition(":")[0] == "llm":
        raise InputError("llm is no judge of a probe, which draws 210 completions a fact: sample, then rescore some")
    return judge_of(name).name


class AskedFacts(EngineSettings):
    """Which facts a step grades, and which model it grades by them."""

    later_fields: ClassVar[set[str]] = {*EngineSettings.later_fields, "facts_seed"}

    facts: Name = "pocket"
    """A facts step directory, a data file, or "pocket"."""
    parts: str = "train,test,ood"
    """Which parts of the fact set to take."""
    limit: Annotated[int | None, Field(ge=1)] = None
    """At most so many facts, spread evenly over parts and relations; facts_seed decides which."""
    facts_seed: int = 0
    """Decides which facts a limit takes, and nothing else."""
    seed: int = 0
    """Decides the draws, and not which facts are asked."""


class ProbeSettings(AskedFacts):
    """How well a base model knows each fact: memory score R and level (*60 Data Points*, docs/studies.md).

    Examples:
        >>> from recollect import ProbeSettings
        >>> ProbeSettings.make(model="pocket", limit=20, templates=4).templates
        4
    """

    runtime_only: ClassVar[set[str]] = {"model", "facts", "template_file", "revision", "trust_remote_code"}
    later_fields: ClassVar[set[str]] = {
        *AskedFacts.later_fields,
        "settled",
        "pilot",
        "agreement_loss",
        "judge",
        "prompt",
    }

    method: Method = "auto"
    """auto: compare the ways on the first facts, and take the cheapest that agrees with the studies' probe as asked
    for (agreement_loss); prints what and why. sampled: the studies' 21 x 10 draws. adaptive: the same draws in rounds,
    until the level of a fact is settled; about half of them. closed-form: probability that the object follows at once.
    hybrid: the closed form plus sampling of the rest; unbiased, and less noisy where answers come at once."""
    prompt: Written | Literal["both"] = "plain"
    """plain: the model completes each template, as in the studies. chat: each template is the user's turn in the
    model's own chat template, and the model answers; many answer otherwise there than they complete. both: levels from
    plain, and beside them a probe in the template, with how far the two agree."""
    templates: Annotated[int, Field(ge=1)] = 21
    """Mapping templates per relation."""
    samples: Annotated[int, Field(ge=1)] = 10
    """Draws per template (sampled), and the number of draws the level boundaries refer to (all methods)."""
    residual_samples: Annotated[int, Field(ge=1)] = 2
    """hybrid: draws per template from what the closed form leaves over. Raise it for models whose right answers come
    late in the text (share_at_once well below 1). Our choice."""
    settled: Annotated[float, Field(gt=0, le=1)] = 0.8
    """adaptive: a fact is drawn from no more when all the draws of `sampled` would leave its level as it is with this
    probability. Our choice: half of the draws, for one or two facts in a hundred that get another level."""
    pilot: Annotated[int, Field(ge=8)] = 16
    """auto: facts on which the ways are compared; up to four times as many where so few leave it open. They are drawn
    from as in adaptive, and keep what was drawn."""
    agreement_loss: Annotated[float, Field(ge=0, le=1)] = 0.02
    """auto: a fresh 21 x 10 probe may give so much smaller a share of the facts the same level as it gives those of
    another such probe, with one standard error of the facts compared. Our choice."""
    temperature: Annotated[float, Field(gt=0)] = 0.7
    """Softmax temperature."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 32
    """Longest completion."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """0: the whole vocabulary. The studies state none; ours is none. Only with plain draws (not closed-form,
    hybrid)."""
    judge: Annotated[str, AfterValidator(_check_judge)] = DEFAULT_JUDGE
    """Who says whether a completion is right: contains as in the studies, or word, equal, exact-match, token-f1[:0.5],
    numeric[:1%], choice, regex, json:PATH (docs/judges.md). Only contains has a closed form; with any other, auto takes
    plain draws."""
    template_file: PathOrName = ""
    """YAML with your own mapping templates by relation; "" uses the shipped ones."""
    keep_text: bool = True
    """Store every completion, so that levels can be judged again without sampling."""
    batch_size: Annotated[int | None, Field(ge=1)] = None
    """Prompts read at once; by default from the vocabulary and the machine."""

    @property
    def draws_beside(self) -> bool:
        """hybrid does."""
        return self.method == "hybrid"

    @property
    def has_closed_form(self) -> bool:
        """Whether an answer can be told right by its first tokens, which containment of an accepted form can alone."""
        return self.judge == DEFAULT_JUDGE

    @model_validator(mode="after")
    def _closed_form_applies(self) -> Self:
        if not self.has_closed_form and self.method in ("closed-form", "hybrid"):
            raise ValueError(
                f"method {self.method} counts the probability that an accepted form begins the completion, which "
                f"decides containment and nothing else, but judge is {self.judge}. Take method auto, adaptive or "
                "sampled, or the judge contains"
            )
        return self

    @model_validator(mode="after")
    def _top_k_is_sampled(self) -> Self:
        if self.top_k and self.method in ("closed-form", "hybrid"):
            raise ValueError(
                f"top_k={self.top_k} goes with sampled or adaptive draws only (the closed form is of the whole "
                f"vocabulary), "
                f"but method is {self.method}"
            )
        return self


class Candidate(Result):
    """A way to grade facts, as the first facts let expect it."""

    way: Way
    residual_samples: int | None = None
    """Of hybrid."""
    settled: float | None = None
    """Of adaptive."""
    agreement: float
    """Share of facts to which a fresh probe of the studies would give the same level."""
    agreement_error: float | None = None
    """Standard error of it, of the first facts' number; like the next two None in a probe of an earlier version."""
    loss: float | None = None
    """How much smaller than the agreement of two full probes; expected."""
    most_loss: float | None = None
    """The same, with one standard error of the first facts' number."""
    error: float
    """Root mean square error of R."""
    tokens: float
    """What a fact costs, in tokens read; a drawn one counts threefold."""

    @property
    def words(self) -> str:
        """Its name with its one setting."""
        if self.way == "hybrid":
            return f"hybrid with {self.residual_samples} residual draws"
        return f"adaptive until {100 * self.settled:.0f} % settled" if self.settled else self.way


class Choice(Result):
    """What `auto` chose, and why."""

    taken: Candidate | None
    """None where there was nothing to compare."""
    way: Way
    why: str
    pilot: int
    """Facts it was measured on."""
    clear: bool = True
    """Whether the same way is taken with and without the first facts' own error."""
    share_at_once: float | None = None
    """Of their mean score."""
    candidates: list[Candidate] = []

    @property
    def words(self) -> str:
        """The choice in a sentence without its full stop."""
        on = f"measured on {self.pilot:,} facts: " if self.pilot else ""
        return f"{self.taken.words if self.taken else self.way}, {on}{self.why}"


class ProbeFound(Result):
    """What a probe found; the facts themselves are in its levels.parquet."""

    facts: int
    method: Way
    """The way the facts were graded; of auto the one it chose."""
    judge: str = DEFAULT_JUDGE
    """Who said whether a completion is right."""
    prompt: Written = "plain"
    """What the levels come from: completed templates, or templates asked as a user's turn of the chat template."""
    other_prompt: OtherPrompt | None = None
    """Of `prompt: both`, the probe in the chat template, and how far it agrees."""
    choice: Choice | None = None
    """auto: what it chose and why."""
    levels: dict[str, int]
    """Facts by level "0" to "4"."""
    levels_by_part: dict[str, list[int]]
    """The same for each of train, test and ood, in the order of the levels."""
    mean_score: float
    borderline: int | None = None
    """Facts whose level a fresh probe may well change; like the next two None where the method does not say."""
    expected_repeat_agreement: float | None = None
    """Share of the facts to which a fresh probe would give the same level."""
    levels_expected: dict[str, float] | None = None
    """Facts by level that a fresh probe would find."""
    unstated: str = ""
    """Why no agreement is stated, in words; empty where it is."""
    draws: int | None = None
    """Completions drawn, for all facts; None in a probe of an earlier version."""
    largest_bias: float | None = None
    """adaptive: how far the expected score of any fact can lie from its true one because draws end when a level is
    settled; computed from the stopping rule. The other methods have no such bias."""
    share_at_once: float | None = None
    """Share of the mean score that comes at once, of hybrid, and of auto on its first facts; plain draws or the closed
    form alone cannot tell."""
    notes: list[str] = []
    self_test_p: float | None = None
    seconds: float
