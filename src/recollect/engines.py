"""Which engines there are: a name, and how each finds a model. Adding one: a file with its class, and a line here.

`auto` is no engine: it takes vLLM where that pays, and otherwise transformers. A step that let it choose counts as one
whose settings named what was chosen, so that texts of one engine never pass for another's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from recollect.core.llm import CompletionsSettings, check_server
from recollect.core.machine import Machine
from recollect.core.workspace import fingerprint
from recollect.errors import InputError, MissingExtra, ModelError, ModelWarning
from recollect.generate import Engine, TransformersEngine
from recollect.generate.encoding import context_limit
from recollect.generate.transformers import stop_ids, stop_tokens
from recollect.models import (
    LoadedModel,
    ModelRef,
    ModelSettings,
    base_changed,
    begin_input,
    check_held,
    check_whole,
    load,
    load_tokenizer,
    machine_of,
    resolve,
    tokenizer_fingerprint,
)
from recollect.models.check import read_model_config
from recollect.models.files import read_json
from recollect.models.plain_adapter import plain_rank
from recollect.models.whole import empty_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LARGE = 1_000_000_000
"""From so many bytes of weights on `auto` takes vLLM: its start takes half a minute or more. Our choice."""


@dataclass(frozen=True)
class FoundModel:
    """A model that was found and checked, and is loaded only when there is something to ask it."""

    fingerprint: str
    """Of its weights: part of the fingerprint of every step that asks it."""
    load: Callable[[], Engine]
    number_format: str = ""
    """Where `dtype: auto` chose another one than float32 on a CPU: part of the fingerprint too, since the numbers
    differ. "" elsewhere."""
    engine: str = ""
    """The name of its engine, never `auto`."""
    folder: Path | None = None
    """Of the whole model; None where there is none."""
    ref: ModelRef | None = None
    """Where it lies itself, an adapter beside its base; None where it has no folder."""

    @property
    def inputs(self) -> dict[str, str]:
        """What of the model decides the result of a step that asks it."""
        return _inputs(self.fingerprint, self.folder, self.number_format)


class EngineSettings(ModelSettings):
    """Which model, how to hold it, and what runs it. Part of every step that asks a model for text."""

    later_fields: ClassVar[set[str]] = {*ModelSettings.later_fields, "engine", "memory_fraction", "completions"}

    engine: Annotated[str, AfterValidator(lambda name: _check_engine(name))] = "auto"
    """transformers: in this process. vllm: vLLM, where it is installed. completions: a server with an OpenAI-compatible
    completions endpoint (docs/engines.md). auto: vllm where it is installed, a GPU is there, the weights take 1 GB or
    more and the step asks nothing that it lacks; else transformers."""
    memory_fraction: Annotated[float, Field(gt=0, le=1)] = 0.85
    """vllm on a GPU: the share of its memory that vLLM may take, for weights and cache."""
    completions: CompletionsSettings = CompletionsSettings()
    """completions: the server that is asked for --model, or for a model with the tokenizer of --model: endpoint,
    model, weights, …"""

    @model_validator(mode="after")
    def _server_is_named(self) -> Self:
        if self.engine == "completions" and not self.completions.endpoint:
            raise ValueError(
                "the engine completions needs --completions.endpoint, the server's address, such as "
                "http://localhost:8000/v1"
            )
        if self.engine != "completions" and self.completions.given():
            raise ValueError(f"completions is of the engine completions alone, but engine is {self.engine}")
        return self

    @property
    def draws_beside(self) -> bool:
        """Whether the step draws beside excluded continuations, which not every engine can."""
        return False

    def run_by(self, model: FoundModel) -> Self:
        """These settings with the engine that runs the model in the place of `auto`."""
        return self.model_copy(update={"engine": model.engine})

    def fingerprint_values(self) -> dict[str, Any]:
        """As for any settings; `transformers` goes unnamed, as before there was a choice."""
        values = super().fingerprint_values()
        values.pop("memory_fraction", None)
        values.pop("completions", None)  # what of it decides a result is part of the model's fingerprint
        if self.engine in ("auto", "transformers"):
            values.pop("engine", None)
        return values


Finder = Callable[[EngineSettings, LoadedModel | None], FoundModel]
"""From the settings to a model; one that the caller has in memory already comes along, for those that can take it.

The fingerprint of a model folder is that of `recollect.models.ModelRef`: a study hands its model to every engine.
"""


def find_engine(settings: EngineSettings, loaded: LoadedModel | None = None) -> FoundModel:
    """Find and check the model of the settings with their engine; `loaded` is that model where it is in memory.

    Raises ModelError for a broken or unsafe model, MissingExtra for an engine that is not installed, InputError for a
    model in memory that is not as the settings say, or that the engine would pass over for another one.
    """
    chosen = why_vllm(settings, loaded) if settings.engine == "auto" else ""
    name = ("vllm" if chosen else "transformers") if settings.engine == "auto" else settings.engine
    found = _vllm(settings, loaded, chosen) if chosen else ENGINES[name](settings, loaded)
    found = replace(found, engine=name)
    if loaded is not None and loaded.fingerprint != found.fingerprint:
        raise InputError(
            f"the engine {name!r} asks the model {settings.model}, but the one in memory has other weights. "
            "Leave `loaded` out, save that model and name its folder, or take the engine transformers."
        )
    return found


def check_named(settings: EngineSettings) -> None:
    """Find and check the folder of the model alone, without torch, which takes seconds to load.

    Raises what `find_engine` raises for a name or folder that is none.
    """
    if settings.engine != "completions" or not settings.completions.weights:  # else a tokenizer's folder will do
        resolve(settings)


def why_vllm(settings: EngineSettings, loaded: LoadedModel | None = None) -> str:
    """Why `auto` takes vLLM for a step with these settings; "" where it takes transformers."""
    try:
        installed = version("vllm")  # not the package of its CPU build, which is slower than what we have
    except PackageNotFoundError:
        return ""
    if loaded is not None or settings.draws_beside or settings.quantize != "none":
        return ""
    machine = machine_of(settings)
    if not machine.device.startswith("cuda"):
        return ""
    ref = resolve(settings)
    size = sum(file.stat().st_size for file in ref.whole.glob("*.safetensors"))
    if size < _LARGE or ref.runs_code or ref.quantised or not _can_serve(ref, machine):
        return ""
    return f"chosen since vLLM {installed} is installed, a GPU is there and the weights take {size / 1e9:.1f} GB"


def asked_inputs(settings: ModelSettings, ref: ModelRef) -> dict[str, str]:
    """The `inputs` of the model of these settings, which was found already."""
    return _inputs(ref.fingerprint, ref.whole, _chosen_format(settings, machine_of(settings, ref.folder)))


def _inputs(model: str, folder: Path | None, number_format: str) -> dict[str, str]:
    chosen = {"number_format": number_format} if number_format else {}
    return {"model": model, **(begin_input(folder) if folder else {}), **chosen}


def _chosen_format(settings: ModelSettings, machine: Machine) -> str:
    automatic = settings.dtype == "auto" and machine.device == "cpu"
    return machine.dtype if automatic and machine.dtype != "float32" else ""


def _transformers(settings: EngineSettings, loaded: LoadedModel | None) -> FoundModel:
    if loaded is not None:
        check_held(settings, loaded)
        chosen = _chosen_format(settings, loaded.machine)
        held = ModelRef.at(loaded.folder)
        return FoundModel(loaded.fingerprint, lambda: TransformersEngine(loaded), chosen, folder=held.whole, ref=held)
    ref = resolve(settings)
    chosen = _chosen_format(settings, machine_of(settings, ref.folder))
    return FoundModel(
        ref.fingerprint, lambda: TransformersEngine(load(settings, ref)), chosen, folder=ref.whole, ref=ref
    )


def _vllm(settings: EngineSettings, loaded: LoadedModel | None, chosen: str = "") -> FoundModel:
    if find_spec("vllm") is None:
        raise MissingExtra(
            "the engine vllm needs vllm, which is not installed: pip install 'recollect[vllm]' -c constraints-vllm.txt "
            "into an environment of its own (docs/engines.md; without a GPU: its CPU build)"
        )
    if settings.quantize != "none":
        raise InputError(
            f"the engine vllm does not quantise while it loads, but got quantize={settings.quantize!r}. Take --engine "
            "transformers, or a base that is stored quantised."
        )
    ref = resolve(settings)
    rank = 0 if ref.base is None else plain_rank(ref)

    def start() -> Engine:
        if chosen:
            warnings.warn(
                f"The engine is vllm, {chosen}. --engine transformers is the other.", ModelWarning, stacklevel=2
            )
        return _served(settings, ref, rank, chosen or "asked for")

    return FoundModel(
        ref.fingerprint, start, _chosen_format(settings, machine_of(settings, ref.folder)), folder=ref.whole, ref=ref
    )


def _served(settings: EngineSettings, ref: ModelRef, rank: int, reason: str) -> Engine:
    from recollect.generate.vllm import VllmEngine
    from recollect.generate.vllm_start import Served

    tokenizer, empty = check_whole(ref), empty_model(ref.whole, ref.runs_code)
    if ref.base and (changed := base_changed(ref, ref.base)):
        warnings.warn(changed, ModelWarning, stacklevel=2)
    return VllmEngine(
        Served(
            folder=ref.whole,
            tokenizer=tokenizer,
            stops=frozenset(stop_tokens(empty, tokenizer)),
            machine=machine_of(settings, ref.folder),
            context=context_limit(empty.config),
            adapter=ref.folder if ref.base else None,
            rank=rank,
            runs_code=ref.runs_code,
            memory_fraction=settings.memory_fraction,
            reason=reason,
        )
    )


def _completions(settings: EngineSettings, loaded: LoadedModel | None) -> FoundModel:
    """A served model counts by what it is called there, and by the weights here or the name given to those there.

    So it is never taken for the model here, though its answers were compared with it: only a few were.
    """
    server = settings.completions
    if loaded is not None:
        raise InputError(
            "the engine completions asks a server, but this step holds its model in memory, to train it or to read its "
            "weights. Take --engine transformers."
        )
    check_server(server)
    folder = Path(settings.model)
    if server.weights and folder.is_dir() and not any(folder.glob("*.safetensors")):  # a tokenizer alone
        ref = ModelRef(folder)
    else:
        ref = resolve(settings)
    here = tokenizer_fingerprint(ref.whole) if server.weights else ref.fingerprint
    name = {"model": server.model, "weights": server.weights, "here": here}
    return FoundModel(f"served {fingerprint(name)}", lambda: _asked_there(settings, ref), folder=ref.whole, ref=ref)


def _asked_there(settings: EngineSettings, ref: ModelRef) -> Engine:
    from recollect.generate.completions import CompletionsEngine, Remote

    tokenizer = load_tokenizer(ref.whole, ref.runs_code)
    named = settings.completions.weights
    return CompletionsEngine(
        Remote(
            settings=settings.completions,
            tokenizer=tokenizer,
            stops=frozenset(_stops(ref.whole, tokenizer)),
            context=None if named else context_limit(empty_model(ref.whole, ref.runs_code).config),
            machine=asking_machine(settings),
            local=None if named else lambda: TransformersEngine(load(settings, ref)),
        )
    )


def _stops(folder: Path, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """As `stop_tokens`, of a folder that may hold a tokenizer alone."""
    files = [folder / name for name in ("generation_config.json", "config.json")]
    config = next((read_json(file) for file in files if file.is_file()), {})
    return stop_ids(tokenizer.eos_token_id, config.get("eos_token_id"))


def asking_machine(settings: EngineSettings) -> Machine:
    """Where a step with these settings runs its model, to tell people."""
    if settings.engine != "completions":
        return machine_of(settings)
    own = "the server's own"
    return Machine(1, "of a server, not told", "server", settings.completions.endpoint, "number format", own)


def _can_serve(ref: ModelRef, machine: Machine) -> bool:
    """Whether vLLM knows the model, as one of text alone, and its adapter is one that it applies."""
    from recollect.generate.vllm_start import knows

    try:
        plain = ref.base is None or plain_rank(ref) > 0
    except ModelError:
        return False
    config = read_model_config(ref.whole)
    return plain and "text_config" not in config and knows(machine, config.get("architectures"))


ENGINES: dict[str, Finder] = {"transformers": _transformers, "vllm": _vllm, "completions": _completions}


def _check_engine(name: str) -> str:
    if name != "auto" and name not in ENGINES:
        raise ValueError(f"must be one of auto, {', '.join(ENGINES)}")
    return name
