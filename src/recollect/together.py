"""The same questions to many adapters of one base: each its own step, as ever, and all of them asked in one batch.

A step that asks a model is given the model (`engines.FoundModel`). Here each gets one that is an adapter among those
stacked on the base (`models.stacked`); what they ask at a time is answered together (`generate.together`). Its
settings, inputs, files and fingerprint are those of the step alone; answers may differ where two tokens are equally
likely but for the last digits of a number.

What cannot be stacked is asked one after another in the base's place (`models.resident`), and so is an adapter alone.
On a processor all are, unless told otherwise, or unless they leave the lower half of the layers alone, which is then
computed once for all of them: 64 questions fill it already, and factors beside the weights are more products than
merged ones (`benchmarks/adapters_asked.py`). One adapter's questions do not fill a GPU; not measured yet.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from recollect.engines import EngineSettings, FoundModel, asked_inputs
from recollect.errors import ModelWarning, RecollectError
from recollect.generate.together import OneOfMany, Question, Together
from recollect.generate.turns import take_turns
from recollect.models import LoadedModel, ModelRef, base_changed, machine_of
from recollect.models.adapter_config import first_layer, read_adapter_config
from recollect.models.resident import Resident

if TYPE_CHECKING:
    from recollect.models.stacked import Factors  # with torch, which a command that asks nothing does not need

Result = TypeVar("Result")


@dataclass(frozen=True)
class Asking(Generic[Result]):
    """One step that asks one model."""

    settings: EngineSettings
    run: Callable[[FoundModel | None, LoadedModel | None], Result]
    """Run the step with the model that is found, or else the one in memory."""
    factors: Factors | None = None
    """The adapter's factors, where they are in memory; else they are read from its folder."""


@dataclass(frozen=True)
class _Joins:
    """What a step asks first: to be one of those on the base."""

    number: int


class _Alone(Exception):
    """There are no others to be asked beside."""


def ask_together(
    base: LoadedModel,
    askings: Sequence[Asking[Result]],
    tell: Callable[[str], None] | None = None,
    in_one_batch: bool | None = None,
) -> list[Result | Exception]:
    """Run the steps, those of adapters of `base` together; their results, or the errors that they raised.

    base: on the device and in the number format in which the adapters are to be asked. It is changed meanwhile and then
    as it was. tell: is told which are asked one after another, and why. in_one_batch: whether those that can are rows
    of one batch (None: on a GPU, and where all are in the upper half of the layers), or each is merged in turn into the
    base's place.
    """
    from recollect.models.stacked import NotByRows

    resident = Resident(base)
    refs: dict[int, ModelRef] = {}
    found: dict[int, Result | Exception] = {}
    apart: dict[int, str] = {}
    for number, asking in enumerate(askings):
        try:
            refs[number] = resident.ref_of(asking.settings)
            if why := why_not_together(asking.settings, refs[number], base):
                apart[number] = why
        except RecollectError as error:
            found[number] = error
    able = {number: ref for number, ref in refs.items() if number not in apart}
    if len(able) > 1 and (_one_batch_pays(base, able.values()) if in_one_batch is None else in_one_batch):
        results = _Pass(base, [askings[number] for number in able], list(able.values())).run()
        for number, result in zip(able, results, strict=True):
            if isinstance(result, NotByRows | _Alone):
                apart[number] = str(result)
            else:
                found[number] = result
    else:
        apart |= dict.fromkeys(able, "")
    for number, why in sorted(apart.items()):
        if why and tell is not None:
            tell(f"{askings[number].settings.model} is asked by itself: {why}")
        try:
            with resident.holding(askings[number].settings, factors=askings[number].factors) as loaded:
                found[number] = askings[number].run(None, loaded)
        except Exception as error:
            found[number] = error
    return [found[number] for number in range(len(askings))]


def _one_batch_pays(base: LoadedModel, adapters: Iterable[ModelRef]) -> bool:
    """Whether rows of one batch are faster than adapters merged in turn: see the notes above."""
    if base.machine.device != "cpu":
        return True
    layers = int(base.model.config.get_text_config().num_hidden_layers)
    return all(2 * first_layer(read_adapter_config(ref.folder)) >= layers for ref in adapters)


def why_not_together(settings: EngineSettings, ref: ModelRef, base: LoadedModel) -> str:
    """Why the model `ref` of these settings is not asked beside other adapters of `base`; "" where it can be."""
    from recollect.models.stacked import why_not_stacked

    if ref.base is None:
        return "it is a whole model"
    if ref.base.fingerprint != base.fingerprint:
        return "it is an adapter of another base"
    if settings.engine not in ("auto", "transformers"):
        return f"the engine is {settings.engine}"
    machine = machine_of(settings, ref.folder)
    wanted = (machine.device, machine.dtype, settings.quantize)
    if wanted != (base.machine.device, base.machine.dtype, base.quantize):
        return f"it is asked in {machine.dtype} on {machine.device}, and the base is in memory in {base.machine.dtype}"
    return why_not_stacked(read_adapter_config(ref.folder))


class _Pass(Generic[Result]):
    """Adapters of one base that are asked together."""

    def __init__(self, base: LoadedModel, askings: Sequence[Asking[Result]], refs: Sequence[ModelRef]) -> None:
        self._base, self._askings, self._refs = base, askings, refs
        self._engine: Together | None = None
        self._row: dict[int, int] = {}
        """Of each step: the number of its adapter among those stacked."""
        self._take_off: Callable[[], None] = lambda: None

    def run(self) -> list[Result | Exception]:
        """All steps; the base is as it was afterwards."""
        try:
            return take_turns([partial(self._work, number) for number in range(len(self._askings))], self._answers)
        finally:
            self._take_off()

    def _work(self, number: int, ask: Callable[[Question | _Joins], Any]) -> Result:
        asking, ref = self._askings[number], self._refs[number]
        if ref.base and (changed := base_changed(ref, ref.base)):
            warnings.warn(changed, ModelWarning, stacklevel=2)

        @cache
        def load() -> OneOfMany:
            ask(_Joins(number))
            return OneOfMany(replace(self._base, folder=ref.folder, fingerprint=ref.fingerprint), ask)

        inputs = asked_inputs(asking.settings, ref)
        chosen = inputs.get("number_format", "")
        model = FoundModel(ref.fingerprint, load, chosen, engine="transformers", folder=ref.whole, ref=ref)
        return asking.run(model, None)

    def _answers(self, asked: Mapping[int, Question | _Joins]) -> dict[int, Any]:
        joining = [number for number, one in asked.items() if isinstance(one, _Joins)]
        heard = self._join(joining) if joining else {}
        assert self._engine is not None or len(heard) == len(asked)
        questions = {self._row[number]: one for number, one in asked.items() if not isinstance(one, _Joins)}
        if self._engine is not None and questions:
            answers = self._engine.answer(questions)
            heard |= {number: answers[self._row[number]] for number in asked if number not in heard}
        return heard

    def _join(self, numbers: Sequence[int]) -> dict[int, Any]:
        """Stack the adapters of the steps that have something to ask, or say why they are not."""
        from recollect.models.stacked import put_together, read_factors, refuse_uncalled

        heard: dict[int, Any] = {}
        factors: dict[int, Factors] = {}
        for number in numbers:
            try:
                own = self._askings[number].factors or read_factors(self._refs[number])
                refuse_uncalled(self._base.model, own)
                factors[number] = own
            except Exception as error:
                heard[number] = error
        if self._engine is not None or len(factors) < 2:
            return heard | {number: _Alone() for number in factors}
        try:
            stacked = put_together(self._base.model, list(factors.values()))
        except Exception as error:
            return heard | dict.fromkeys(factors, error)
        self._take_off = stacked.take_off
        self._row = {number: row for row, number in enumerate(factors)}
        self._engine = Together(self._base, stacked.rows, len(factors), stacked.modules)
        return heard | dict.fromkeys(factors, True)
