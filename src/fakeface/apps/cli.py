"""The command ``fakeface``; each of its commands is a module that is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fakeface import __version__
from fakeface.apps import export, predict, score
from fakeface.apps.demo import command as demo
from fakeface.base.errors import FakefaceError


def parser() -> argparse.ArgumentParser:
    """Of all commands."""
    top = argparse.ArgumentParser(prog="fakeface", description="A detector of GAN-made face photographs.")
    top.add_argument("--version", action="version", version=f"fakeface {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    predict.add_parser(commands)
    score.add_parser(commands)
    export.add_parser(commands)
    demo.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code. A problem that the user can mend is one line and code 2."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except FakefaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing more can be written, not even at exit.
        sys.stderr.close()
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
