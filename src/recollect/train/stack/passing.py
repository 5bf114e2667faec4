"""The pass: every update, each training's next batch side by side, until all have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from recollect.core.machine import give_back_memory
from recollect.errors import InputError, ModelError, RecollectError, memory_ran_out
from recollect.models.stacked import NotByRows, Stacked, put_together
from recollect.train.lora import NEVER_CALLED
from recollect.train.stack.batch import Head, Piece, Told, as_batch, pass_through, together
from recollect.train.stack.lane import Lane, Outcome
from recollect.train.stack.memory import NoRoom, Room

_NO_ROOM = (
    "memory ran out with this training alone in the pass, and one piece of its update in the batch. Raise "
    "--gradient-accumulation, or lower --lora-r or --max-length; its checkpoint is kept."
)


@dataclass
class Pass:
    """Trainings on one resident base."""

    model: Any
    pad: int
    device: str
    mixed: bool
    alone: bool
    """Each training's rows in calls of their own: its bytes do not depend on its neighbours."""
    room: Room
    leave: Callable[[Lane, Outcome], None]
    """What becomes of a training that ended."""
    progress: Callable[[], None]
    head: Head = field(default_factory=Head)
    stacked: Stacked = field(init=False)
    places: dict[int, int] = field(init=False)
    """Of each training: its place among those whose rows pass in one product as neighbours."""

    def run(self, lanes: Sequence[Lane]) -> None:
        """Train them all to their ends; where memory has no room for so many, one half after the other.

        Raises NotByRows, with those that were not left yet; where it is of one module, those that do not train that
        module go on.
        """
        left = list(lanes)
        try:
            self._run(left)
        except NotByRows as error:
            if not (at_fault := [lane for lane in left if error.module in lane.factors]):
                raise
            for lane in at_fault:
                left.remove(lane)
                self.leave(lane, error)
            if left:
                self.run(left)
            return
        except NoRoom:
            if len(left) == 1:
                self.leave(left.pop(), ModelError(_NO_ROOM))
        if left:
            give_back_memory()
            half = len(left) // 2
            for some in (left[:half], left[half:]):
                self.run(some)

    def _run(self, left: list[Lane]) -> None:
        """Train them until none is left. Raises NoRoom, with those saved that are left."""
        lanes, stacked = list(left), self._put(left)
        self.stacked = stacked
        self.places = {number: at for at, number in enumerate(stacked.rows.sorted(range(len(lanes))))}
        try:
            for number, lane in enumerate(lanes):
                lane.sit(stacked, number)
            self._leave_where_ended(left)
            with self.head.on(self.model):
                while left:
                    self._update(left)
                    self.progress()
        except NoRoom:
            for lane in left:
                lane.save()
            raise
        except NotByRows:  # at the first update mostly: then each starts again
            for lane in [lane for lane in left if lane.done]:
                lane.save()
            raise
        finally:
            stacked.take_off()
            del self.stacked
            for lane in lanes:
                lane.rise()

    def _put(self, lanes: Sequence[Lane]) -> Stacked:
        try:
            return put_together(self.model, [lane.factors for lane in lanes], trained=True)
        except (MemoryError, RuntimeError) as error:
            if not memory_ran_out(error):
                raise
            raise NoRoom from error

    def _leave_where_ended(self, left: list[Lane]) -> None:
        """A training whose checkpoint is that of its last update needs no other."""
        for lane in [lane for lane in left if lane.done >= lane.state.max_steps]:
            left.remove(lane)
            self.leave(lane, lane.finish())

    def _leave_where_unheard(self, left: list[Lane]) -> None:
        """A training of modules that the model never calls would learn nothing."""
        for lane in [lane for lane in left if self.stacked.unheard(lane.number)]:
            left.remove(lane)
            self.leave(lane, InputError(NEVER_CALLED.format(next(iter(lane.factors)))))

    def _update(self, left: list[Lane]) -> None:
        """One update of every training that is left."""
        started = time.monotonic()
        pieces, told = self._through_with_room(left)
        self._leave_where_unheard(left)
        if not left:
            return
        tokens = {number: sum(piece.tokens for piece in own) for number, own in pieces.items()}
        lengths = torch.stack([lane.steps.step() for lane in left]).tolist()  # one wait for a GPU, not one for each
        spent = time.monotonic() - started
        for lane, length in zip(list(left), lengths, strict=True):
            lane.seconds += spent * tokens[lane.number] / max(1, sum(tokens.values()))
            updating = time.monotonic()
            try:
                outcome: Outcome | None = lane.updated(length, pieces[lane.number], told[lane.number])
            except RecollectError as error:  # its judge's, or a full disk's: the others go on
                outcome = error
            lane.seconds += time.monotonic() - updating
            if outcome is not None:
                left.remove(lane)
                self.leave(lane, outcome)

    def _through_with_room(self, left: list[Lane]) -> tuple[dict[int, list[Piece]], dict[int, list[Told]]]:
        while True:
            pieces = {lane.number: lane.pieces() for lane in left}
            try:
                return pieces, self._through(pieces)
            except NotByRows:
                for lane in left:
                    lane.undo()
                raise
            except (MemoryError, RuntimeError) as error:
                if not memory_ran_out(error):
                    raise
                for lane in left:
                    lane.undo()
                self._make_room(error, [piece for own in pieces.values() for piece in own])

    def _make_room(self, error: Exception, pieces: list[Piece]) -> None:
        largest = max(sum(piece.tokens for piece in batch) for batch in self._batches(pieces))
        if self.alone or largest <= max(piece.tokens for piece in pieces):
            raise NoRoom from error
        self.room.halve(largest)

    def _through(self, pieces: dict[int, list[Piece]]) -> dict[int, list[Told]]:
        """Forward and backward of an update's pieces; those of one training in their order, as its dropout is drawn."""
        told: dict[int, list[Told]] = {number: [] for number in pieces}
        for turn in range(max(map(len, pieces.values()))):
            for some in self._batches([own[turn] for own in pieces.values() if turn < len(own)]):
                some.sort(key=lambda piece: self.places[piece.owner])
                batch = as_batch(some, self.pad, self.device)
                with self.room.measuring(self.model, batch.ids.numel()):
                    found = pass_through(self.model, self.stacked, self.head, batch, self.mixed)
                for number, one in found.items():
                    told[number].append(one)
        return told

    def _batches(self, pieces: list[Piece]) -> list[list[Piece]]:
        if self.alone:
            return [[piece] for piece in pieces]
        return together(pieces, self.room.most)
