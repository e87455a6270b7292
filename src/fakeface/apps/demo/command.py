"""The command ``fakeface demo``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import tempfile
from pathlib import Path

from fakeface.apps.predict import DEFAULT_DETECTOR
from fakeface.base.errors import DemoError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``fakeface``'s."""
    parser = commands.add_parser(
        "demo",
        help="judge pictures on a web page",
        description="Serve a web page on which pictures are dropped and judged. Ctrl-C ends it.",
        epilog="exit codes: 0 ended by Ctrl-C, 2 not served",
    )
    parser.add_argument("--detector", default=DEFAULT_DETECTOR, help="folder of a detector (%(default)s)")
    parser.add_argument(
        "--samples",
        type=Path,
        default=Path("data"),
        help="folder with real/ and fake/ of the pipeline, whose test images are offered (%(default)s)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (%(default)s: for this machine alone)",
    )
    parser.add_argument("--port", type=int, default=7860, help="(%(default)s; 0: any free one)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(%(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; the exit code."""
    if importlib.util.find_spec("gradio") is None:
        raise DemoError("the demo needs Gradio: pip install -e '.[demo]'")
    # Whoever stops the process with a signal ends it as Ctrl-C does, so that no picture stays behind.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Readable by nobody else, and gone with the process.
    with tempfile.TemporaryDirectory(prefix="fakeface-demo-") as pictures:
        # Gradio reads them when it is imported; nothing about visitors shall leave this machine.
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": pictures}
        from fakeface.apps.demo.serve import serve

        try:
            page = serve(options.detector, options.samples, options.host, options.port, options.device)
            print(f"the demo is at {page.local_url} - Ctrl-C ends it", flush=True)
            page.block_thread()
        except KeyboardInterrupt:
            return 0
        finally:
            signal.signal(signal.SIGTERM, before)
    return 0
