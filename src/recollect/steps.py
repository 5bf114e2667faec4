"""The steps of Recollect, in one list: the command line, the public names and the page of settings are made from it.

A new step is one line here and a file of its command in `cli/`; a test says what else is missing.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recollect.core.settings import Settings


@dataclass(frozen=True)
class StepEntry:
    """One command, and where in the package what it runs is found."""

    command: str
    """As it is typed after `recollect`."""
    line: str
    """What it does, as the list of commands says it."""
    home: str = ""
    """The package under `recollect` with its names; none for a command that only puts others together."""
    settings: str = ""
    """Its settings class; none for a command with flags of its own."""
    run: str = ""
    """The function that takes them."""
    more: tuple[str, ...] = ()
    """Other public names of the same package."""
    shown_by: str = ""
    """The module in `cli` that adds the command, where it is not the command's (last) word."""

    @property
    def module(self) -> str:
        """The module in `cli` that adds the command."""
        return self.shown_by or self.command.split()[-1]

    def settings_class(self) -> type[Settings] | None:
        """The settings class, imported."""
        if not self.settings:
            return None
        found: type[Settings] = getattr(importlib.import_module(f"recollect.{self.home}"), self.settings)
        return found


STEPS = (
    StepEntry("demo", "Run the whole path on a shipped model, in a few minutes."),
    StepEntry(
        "fit",
        "Give it a model and data, get back the better model, and whether it was worth it.",
        *("experiments.fit", "FitSettings", "run_fit"),
    ),
    StepEntry(
        "data",
        "Look at chat data as a training will: formats, tokens, masks, repeats.",
        *("chat", "DataSettings", "run_data", ("read_conversations",)),
    ),
    StepEntry(
        "facts",
        "Read facts from files or published sets, and report on them.",
        *("facts", "FactsSettings", "run_facts", ("Fact", "FactSet", "load_facts", "write_csv")),
    ),
    StepEntry(
        "probe",
        "Measure how well a base model knows each fact: its memory level.",
        *("probe", "ProbeSettings", "run_probe", ("ProbeJob", "run_probes")),
    ),
    StepEntry("slick", "Sort facts into SliCK's four categories.", "probe", "SlickSettings", "run_slick", (), "probe"),
    StepEntry(
        "hidden",
        "Split the facts a model never says: hidden, where it prefers the right answer, or absent.",
        *("hidden", "HiddenSettings", "run_hidden"),
    ),
    StepEntry(
        "select", "Select which facts to train on: size, level, balance.", "select", "SelectSettings", "run_select"
    ),
    StepEntry(
        "train",
        "Fine-tune a model on a selection, fully or with LoRA.",
        *("train", "TrainSettings", "run_train", ("PausedTraining", "run_train_until")),
    ),
    StepEntry(
        "evaluate",
        "Measure a model's accuracy on facts, by memory level.",
        *("evaluate", "EvaluateSettings", "run_evaluate", ("EvaluateJob", "run_evaluates")),
    ),
    StepEntry(
        "compare",
        "Compare models on the same questions: which answers flipped, and is it more than chance?",
        *("compare", "CompareSettings", "run_compare", ("compare_evaluations",)),
    ),
    StepEntry(
        "levels",
        "Compare what models know: level distributions, their distance, which facts both know.",
        "compare",
        more=("compare_levels",),
    ),
    StepEntry(
        "ask",
        "Ask base, tuned and restored side by side, with how sure each is.",
        "ask",
        more=("side_by_side",),
    ),
    StepEntry(
        "study",
        "Train on every choice of examples at every size, of one model or several; one report.",
        *("experiments.study", "StudySettings", "run_study", ("run_grid",)),
    ),
    StepEntry(
        "work",
        "Do a study or a fit together: one more worker, on any machine that sees its folder.",
        *("experiments.study", "WorkSettings", "run_work"),
    ),
    StepEntry(
        "curve",
        "Find out how many training examples are enough.",
        *("experiments.curve", "CurveSettings", "run_curve", ("judge_curve",)),
    ),
    StepEntry(
        "drift", "Show what a training changed, in tokens and in parameters.", "drift", "DriftSettings", "run_drift"
    ),
    StepEntry(
        "restore",
        "Set the most changed weights back; with --ladder, find how many.",
        *("restore", "RestoreSettings", "run_restore", ("LadderSettings", "run_ladder")),
        shown_by="drift",
    ),
    StepEntry(
        "export",
        "Take a trained model away: merged, adapter, GGUF, Ollama, MLX, vLLM.",
        *("export", "ExportSettings", "run_export"),
    ),
    StepEntry("pages", "Turn HTML pages into compact prompts.", "extraction.html", "PagesSettings", "run_pages"),
    StepEntry(
        "label",
        "Label pages from schema.org data, a table or an LLM.",
        *("extraction.labels", "LabelSettings", "run_label"),
    ),
    StepEntry(
        "score",
        "Score predicted attribute values of pages against true ones.",
        *("extraction.values", "ScoreSettings", "run_score"),
        shown_by="label",
    ),
    StepEntry(
        "search",
        "Search for the settings that fine-tune best.",
        *("experiments.search", "SearchSettings", "run_search", ("Space",)),
    ),
    StepEntry("rescore", "Judge stored texts again, with no model.", "probe", more=("rescore",)),
    StepEntry(
        "report",
        "Write the report page again, or one from evaluations of pages.",
        "report",
        more=("Results", "read_results", "verdict", "write_report"),
    ),
    StepEntry(
        "watch",
        "Watch a study, curve, search or fit on a local page, while it runs or after.",
        "watch",
        more=("write_once",),
    ),
    StepEntry(
        "models get",
        "Fetch a small real model, as an ordinary folder.",
        "models",
        more=("get_model",),
        shown_by="models",
    ),
    StepEntry(
        "models list",
        "List the models that have a short name: where, how large, which licence.",
        "models",
        more=("ModelInfo", "list_models"),
        shown_by="models",
    ),
    StepEntry(
        "pocket build",
        "Build the quiz world's base model.",
        "worlds.quiz",
        "PocketSettings",
        "run_pocket",
        (),
        "pocket",
    ),
    StepEntry(
        "pocket shop", "Build the shop world's base model.", "worlds.shop", "ShopSettings", "run_shop", (), "pocket"
    ),
)
"""In the order of the help."""

_OTHERS = {
    "errors": ("InputError", "MissingExtra", "ModelError", "RecollectError", "StepError"),
    "models": ("ModelSettings", "load_model"),
    "train.stack": ("TrainJob", "run_trains"),
}
_CALLED = {"load_model": "load", "rescore": "rescore_levels"}
"""Public names that are others at home."""


def public_names() -> dict[str, str]:
    """Every public name of the package, and its place as "module:name"."""
    homes = [(entry.home, (entry.settings, entry.run, *entry.more)) for entry in STEPS if entry.home]
    return {
        name: f"recollect.{home}:{_CALLED.get(name, name)}"
        for home, names in [*homes, *_OTHERS.items()]
        for name in names
        if name
    }
