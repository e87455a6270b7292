"""What a user can mend, said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FakefaceError(Exception):
    """A problem with params, data, weights or the network, not the code; the message says what to mend."""


def first_line(error: BaseException) -> str:
    """First line of an error's message, or its type where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class MissingFileError(FakefaceError, FileNotFoundError):
    """A file that params or a command name does not exist."""


class NonFiniteLossError(FakefaceError, RuntimeError):
    """Training stopped; the message gives the step and the images of its batch."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Let a script end with the message of a FakefaceError, exit code 1 and no traceback.

    Any other exception passes through: it is a defect, and its traceback is what a bug report needs.
    """
    try:
        yield
    except FakefaceError as error:
        raise SystemExit(f"error: {error}") from error
