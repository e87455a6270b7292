"""How long a person waits before anything happens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from timing import Section, duration, in_turns

COMMANDS = {
    "`import fakeface`": ["-c", "import fakeface"],
    "`fakeface --help`": ["-m", "fakeface.apps.cli", "--help"],
    "`fakeface predict --help`": ["-m", "fakeface.apps.cli", "predict", "--help"],
    "`fakeface score --help`": ["-m", "fakeface.apps.cli", "score", "--help"],
}


def _run(arguments: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def measure(repeats: int) -> dict[str, Section]:
    """Seconds of whole processes."""
    works = {name: _run(arguments) for name, arguments in COMMANDS.items()}
    for work in works.values():
        work()
    rows = in_turns({name: lambda work=work: duration(work) for name, work in works.items()}, repeats)
    return {"Start": Section("s", rows)}
