"""A study in one file: which model and facts, how to probe, what to train on, how to train and evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from recollect.chat.asking import Prompt, asked_for, settled
from recollect.core.json_object import JsonObject
from recollect.core.machine import Machine
from recollect.core.settings import Fixed, Name, read_section
from recollect.drift import DriftSettings
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings
from recollect.evaluate.pages import for_pages
from recollect.experiments.executors.settings import PlaceSettings
from recollect.experiments.executors.slurm import SlurmSettings
from recollect.experiments.study.axes import DataEntry, Entry, EvaluateSection, MethodEntry, ModelEntry, TrainSection
from recollect.experiments.study.axes import ProbeSection as ProbeSection
from recollect.experiments.study.extras import check_section
from recollect.models import ModelRef, machine_of
from recollect.probe import ProbeSettings
from recollect.restore import LadderSettings
from recollect.shipped import POCKET, own_preset_of
from recollect.train import TrainSettings, training_machine

Choice = Literal["0", "1", "2", "3", "4", "mixed", "random"]
CHOICES: tuple[Choice, ...] = ("0", "1", "2", "3", "4", "mixed", "random")
_OWN = ("facts", "levels", "revision", "tuned_revision", "trust_remote_code", "device", "dtype", "template_file")
DriftSection = Annotated[DriftSettings, Fixed(*_OWN)]
LadderSection = Annotated[LadderSettings, Fixed(*_OWN, "export", "force")]


class StudySettings(PlaceSettings):
    """Probe a base, fine-tune it on every choice of examples at every size, evaluate each model, write one report.

    Examples:
        >>> from recollect import StudySettings
        >>> settings = StudySettings.make(sizes=(15, 60), choices=("random",), train={"preset": "pocket"})
        >>> settings.train.given()
        {'preset': 'pocket'}
    """

    runtime_only: ClassVar[set[str]] = PlaceSettings.runtime_only | {"model", "facts", "title", "slurm"}
    later_fields: ClassVar[set[str]] = {*("few_shot", "measure_hidden", "models", "data", "methods", "curve", "search")}

    title: str = "What does the base know, and which examples elicit it?"
    """Title of the report."""
    model: Name = POCKET
    """A folder, a Hugging Face name, or "pocket"."""
    facts: Name = POCKET
    """A facts step directory, a data file, or "pocket"."""
    models: tuple[ModelEntry, ...] = ()
    """Several models, in the place of `model`: with `data` and `methods` a grid, one study for each of the product. An
    entry is a name, or a mapping with settings of its own: {model: NAME, train: {learning_rate: 1e-4}}."""
    data: tuple[DataEntry, ...] = ()
    """Several sets of facts, in the place of `facts`; an entry is a name, or a mapping: {facts: FILE, name: SHORT}."""
    methods: tuple[MethodEntry, ...] = ()
    """Ways to train, full and lora; an entry is one of them, or a mapping: {method: lora, train: {lora_r: 8}}."""
    choices: tuple[Choice, ...] = ("0", "1", "2", "3", "4", "random")
    """What to train on: facts of one memory level (0 to 4), an even mix of the levels, or a random draw. Random
    at equal size is always trained, as the control."""
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = (15, 60, 150)
    """Training set sizes."""
    seed: int = 0
    """First seed of the training sets and trainings."""
    repeats: Annotated[int, Field(ge=1)] = 2
    """Seeds to run, from the first one up; each draws its own training sets and trains anew on them. With one
    the spread between trainings is unknown, so no difference between choices is stated."""
    too_few: Literal["skip", "error"] = "skip"
    """What to do where a choice has fewer facts than a size wants: leave that cell out and note it, or count it as
    failed."""
    probe: ProbeSection = ProbeSettings()
    """Settings of `recollect probe`, except model and facts; on the command line as "{method: sampled, samples: 5}"."""
    train: TrainSection = TrainSettings()
    """Settings of `recollect train`, except model and seed. Without a preset: a pocket model's own;
    for any other, rate and epochs follow its width and the number of examples."""
    evaluate: EvaluateSection = EvaluateSettings()
    """Settings of `recollect evaluate`, except model, facts and levels."""
    few_shot: Annotated[int, Field(ge=0)] = 4
    """Ask the base once more with so many training facts and their answers in its prompt, as what a prompt alone gives;
    0: not. Left out, with a note, where they do not fit."""
    measure_hidden: bool = False
    """Split the facts of level 0 into hidden and absent, by where the base ranks the right answer; see `hidden`."""
    measure_drift: bool = True
    """Compare each trained model with the base: next-token distributions, parameters, forgetting; see `drift`."""
    repair: tuple[Choice, ...] = ("random",)
    """Whose models of the largest size climb the restoration ladder, with all controls (see `recollect restore`);
    "none" for nobody's."""
    drift: DriftSection = DriftSettings()
    """Settings of `recollect drift`, except where models, facts and levels are."""
    ladder: LadderSection = LadderSettings()
    """Settings of `recollect restore --ladder`, likewise. A study writes no restored model."""
    curve: JsonObject | None = None
    """Settings of `recollect curve`, except model, facts, levels and where it runs: given, a data curve is a step of
    the study too, and its chapter is in the report; {} takes the defaults."""
    search: JsonObject | None = None
    """Settings of `recollect search`, likewise."""
    keep_models: bool = False
    """Keep the weights of every trained model; off, only their answers and scores are kept."""

    slurm: SlurmSettings = SlurmSettings()
    """What each worker asks of Slurm, with executor slurm."""

    @field_validator("models", "data", "methods", mode="before")
    @classmethod
    def _entries(cls, value: Any) -> Any:
        """Accept one entry, "one,other" as the command line gives it, and a list as its YAML text."""
        if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
            value = read_section(value)
        if isinstance(value, str):
            value = [item.strip() for item in value.split(",") if item.strip()]
        return value if isinstance(value, list | tuple) else [value]

    @field_validator("models", "data", "methods")
    @classmethod
    def _distinct_entries(cls, value: tuple[Entry, ...]) -> tuple[Entry, ...]:
        if not value:
            raise ValueError("must not be empty; leave it out for a study of one")
        same = [entry for at, entry in enumerate(value) if entry in value[:at]]
        if same:
            raise ValueError(f"must not repeat an entry, but {same[0]} is there twice")
        return value

    @model_validator(mode="after")
    def _an_axis_takes_the_place_of_its_one(self) -> Self:
        for axis, one in (("models", "model"), ("data", "facts")):
            if getattr(self, axis) and one in self.model_fields_set:
                raise ValueError(f"{one} must not be given beside {axis}; put it among them")
        if self.methods and "method" in self.train.model_fields_set:
            raise ValueError("train.method must not be given beside methods")
        return self

    @field_validator("curve", "search", mode="before")
    @classmethod
    def _whole_sections(cls, value: Any, info: ValidationInfo) -> Any:
        """Accept the YAML text of a command line; what is in it is checked by its own class."""
        value = {} if value == "" else read_section(value)
        if isinstance(value, Mapping):
            check_section(str(info.field_name), dict(value))
        return value

    @field_validator("choices", "sizes", "repair", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Accept "15,60" as the command line gives it, plain numbers in a YAML list of choices, and "none"."""
        if value in ("none", None):
            return []
        if isinstance(value, str):
            value = [item.strip() for item in value.split(",") if item.strip()]
        elif isinstance(value, int):
            value = [value]
        return [str(item) for item in value] if isinstance(value, list | tuple) else value

    @field_validator("choices", "sizes")
    @classmethod
    def _distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must not be empty")
        if len(set(value)) < len(value):
            raise ValueError("must not repeat a value")
        return value

    @model_validator(mode="after")
    def _repairs_what_is_trained(self) -> Self:
        strange = [choice for choice in self.repair if choice not in self.trained_choices]
        if strange:
            raise ValueError(f"repair names {strange[0]}, which the study does not train; choices are its choices")
        return self

    @property
    def is_grid(self) -> bool:
        """Whether there is an axis, so that `run_grid` runs a study for each part."""
        return bool(self.models or self.data or self.methods)

    @property
    def seeds(self) -> range:
        """The seeds to run."""
        return range(self.seed, self.seed + self.repeats)

    @property
    def trained_choices(self) -> tuple[Choice, ...]:
        """The choices in canonical order, the random control always among them."""
        return tuple(choice for choice in CHOICES if choice in self.choices or choice == "random")


@dataclass(frozen=True)
class StudyParts:
    """The settings of the steps of a study: its sections over what the study says itself."""

    probe: ProbeSettings
    train: TrainSettings
    evaluate: EvaluateSettings
    drift: DriftSettings
    ladder: LadderSettings

    @classmethod
    def of(cls, settings: StudySettings) -> StudyParts:
        """Of a study; a bad value raises InputError before any work."""
        model = settings.model
        probe = settings.probe.over(model=model)
        # which model, and where; the number format is each section's own, or a probe in bfloat16 would train in it
        shared = {name: getattr(probe, name) for name in ("revision", "trust_remote_code", "device")}
        evaluate = settings.evaluate.over(**shared, model=model)
        as_asked = ("dtype", "max_new_tokens", "prompt", "prompt_template", "batch_size", "judge", "server")
        asked = shared | {name: getattr(evaluate, name) for name in as_asked}
        for name, part, parts in (("probe", "train", probe.parts), ("evaluate", "test", evaluate.parts)):
            if part not in (entry.strip() for entry in parts.split(",")):
                raise InputError(f"in the study's section {name}: parts must contain {part}, but got {parts!r}.")
        return cls(
            probe,
            settings.train.over(**shared, preset=own_preset_of(model), model=model),
            evaluate,
            settings.drift.over(**asked, template_file=probe.template_file),
            settings.ladder.over(**asked, export="none"),
        )

    def in_prompt_of(self, model: ModelRef | None) -> StudyParts:
        """With the prompt that this base is trained and asked in, settled once for all."""
        trained = settled(self.train.asked_in(), model)

        def asked(part: EvaluateSettings | DriftSettings | LadderSettings) -> dict[str, Prompt]:
            own = asked_for(part)
            return {"prompt": trained if own == "auto" else settled(own, model)}

        return replace(
            self,
            train=self.train.model_copy(update={"prompt": trained}),
            evaluate=self.evaluate.model_copy(update=asked(self.evaluate)),
            drift=self.drift.model_copy(update=asked(self.drift)),
            ladder=self.ladder.model_copy(update=asked(self.ladder)),
        )

    def for_pages(self) -> StudyParts:
        """With the answers about pages as they are asked for; see `evaluate.pages`."""
        return replace(self, evaluate=for_pages(self.evaluate))

    def about(self, facts: str, levels: Path | None) -> StudyParts:
        """With where the facts are, and the probe's levels, if there is one, which are in the study's own folder."""
        known = {"facts": facts, "levels": levels}
        changed = {name: getattr(self, name).model_copy(update=known) for name in ("evaluate", "drift", "ladder")}
        return replace(self, **changed)


def machines(settings: StudySettings) -> tuple[tuple[str, Machine], ...]:
    """What is done on which device and in which number format, for people to read."""
    parts = StudyParts.of(settings)
    return (
        ("probing", machine_of(parts.probe)),
        ("training", training_machine(parts.train)),
        ("asking", machine_of(parts.evaluate)),
    )
