"""Errors a user can mend. The command line prints their text alone, without a traceback, and exits with their code."""


class RecollectError(Exception):
    """Base of every error that is the input's fault, not ours. Text: what, expected, got, how to mend."""

    exit_code = 2


class InputError(RecollectError, ValueError):
    """A file, column, template, setting or name that cannot be used as it stands."""


class ModelError(RecollectError):
    """A model that is missing, unsafe to load, or broken (pickle weights, own code, NaN)."""


class ModelWarning(UserWarning):
    """A model that runs, but is not what it seems to be; the command line prints it as a note."""


class StepError(RecollectError):
    """A step directory that is in the way: other settings, other inputs, or another process at work in it."""

    exit_code = 3


class SelfTestError(RecollectError):
    """The sampler does not draw from the distribution it should; nothing measured with it could be trusted."""

    exit_code = 4
