"""The settings that say where the trainings of an experiment run. They never change a result or a fingerprint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from recollect.core.secret_url import SecretUrl
from recollect.core.settings import Settings
from recollect.experiments.executors import ExecutorName, Place


class PlaceSettings(Settings):
    """Where trainings run; base of the settings of an experiment."""

    runtime_only: ClassVar[set[str]] = {"executor", "workers", "address", "gpus_per_training", "one_by_one"}

    executor: ExecutorName = "here"
    """Where to train: here (this machine), processes (several at once on it), ray (a Ray cluster), workers (this
    machine, and every other one that shares the folder by `recollect work`; studies and fits alone), or slurm (workers
    on a Slurm cluster; likewise). Of a fit the trials of its search run there, and the rest in its own process."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Trainings at once. Default: one here; with processes one per GPU, else two; with ray as many as the cluster has
    room for; with slurm four; with workers one for each that is there."""
    one_by_one: bool = False
    """With executor here: one training after the other, also where several at once are measured to be faster: adapters
    of one base in one pass, full trainings in several processes."""
    address: SecretUrl | None = None
    """Address of the Ray cluster, such as auto or 10.0.0.1:6379; without it, ray starts one on this machine. What may
    be a password in it is shown nowhere."""
    gpus_per_training: Annotated[float, Field(ge=0)] | None = None
    """GPUs each training gets with ray; 0.5 puts two on one. Default: 1 where there are GPUs."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """In help and docs, what is run comes before where it runs."""
        super().__pydantic_init_subclass__(**kwargs)
        shared, fields = PlaceSettings.__pydantic_fields__, cls.__pydantic_fields__
        own = {name: info for name, info in fields.items() if name not in shared}
        cls.__pydantic_fields__ = {**own, **{name: fields[name] for name in shared}}

    @classmethod
    def make(cls, /, **values: Any) -> Self:
        """As `Settings.make`; the address is masked before anything is checked, so no error text repeats it."""
        if isinstance(values.get("address"), str):
            values["address"] = SecretUrl(values["address"])
        return super().make(**values)

    @model_validator(mode="after")
    def _a_cluster_is_ray(self) -> Self:
        if self.executor != "ray" and (self.address is not None or self.gpus_per_training is not None):
            raise ValueError("address and gpus_per_training go with executor ray")
        return self

    @model_validator(mode="after")
    def _processes_start_none(self) -> Self:
        train = getattr(self, "train", None)
        if self.executor == "processes" and train is not None and train.processes > 1:
            raise ValueError(
                f"trainings of {train.processes} processes do not go with executor processes, whose workers start none "
                "of their own; take executor here, or ray with gpus_per_training"
            )
        return self

    def place(self, folder: Path) -> Place:
        """The place for work whose results go to `folder`."""
        address = None if self.address is None else self.address.get_secret_value()
        return Place(self.workers, gpus=self.gpus_per_training, address=address, folder=folder)
