"""The command ``fakeface``: what its commands take, and what each does.

The modules that do the work are imported when a command runs, so that ``--help`` needs no torch.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fakeface import __version__
from fakeface.base.errors import FakefaceError

if TYPE_CHECKING:
    from fakeface.apps.judge import Picture

PREDICT_CODES = """exit codes:
  0  every picture was judged, or has no face
  1  a picture could not be read, or a face is too small; the others were judged
  2  nothing was judged: no usable detector, or wrong arguments"""
SCORE = (
    "Judge all pictures of folders and archives (zip, tar) into one Parquet file, a row a face. An "
    "interrupted job goes on where it stopped when it is started again."
)
SCORE_CODES = """exit codes:
  0  every picture was judged, or has no face
  1  a picture could not be read, or a face is too small; its row says why, the others were judged
  2  nothing was written: no usable detector, no pictures, or the output is of another job"""


BENCHMARK = (
    "Score labelled pictures as they are, compressed, and rescaled and compressed, and say how good the "
    "detector is on them. One class alone gives false positives or recall."
)
BENCHMARK_CODES = """exit codes:
  0  every picture was judged
  1  some were left out, the others were judged
  2  nothing was measured: no usable detector, or fewer than 20 usable pictures of a class"""


def parser() -> argparse.ArgumentParser:
    """Of all commands."""
    top = argparse.ArgumentParser(prog="fakeface", description="A detector of GAN-made face photographs.")
    top.add_argument("--version", action="version", version=f"fakeface {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def added(
        run: Callable[[argparse.Namespace], int], summary: str, description: str, codes: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            run.__name__,
            help=summary,
            description=description,
            epilog=codes,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    text = "Find the faces in pictures, align them, and say of each how likely a GAN made it."
    command = added(predict, "judge pictures: real, fake or unsure", text, PREDICT_CODES)
    paths = "pictures, folders, or - for a list on stdin"
    command.add_argument("paths", nargs="+", metavar="PATH", help=paths)
    _add_detector(command)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a picture and line")
    form.add_argument("--csv", action="store_true", help="one row a face")
    command.add_argument("--no-align", action="store_true", help="pictures are aligned faces already")
    command.add_argument("--explain", metavar="DIR", type=Path, help="write a heatmap of each face")
    _add_device(command)

    command = added(score, "judge any number of pictures into a Parquet file", SCORE, SCORE_CODES)
    command.add_argument("sources", nargs="+", metavar="FOLDER_OR_ARCHIVE")
    command.add_argument("--out", type=Path, required=True, help="file to write, .parquet")
    _add_detector(command)
    command.add_argument("--no-align", action="store_true", help="pictures are aligned faces already")
    _add_device(command)
    command.add_argument("--engine", default="local", choices=("local", "ray"), help="(%(default)s)")
    command.add_argument("--workers", type=_positive, help="processes (one a core, four a GPU)")
    command.add_argument("--shard-size", type=_positive, default=1000, help="pictures a shard (%(default)s)")
    command.add_argument("--batch-size", type=_positive, default=64, help="faces a pass (%(default)s)")

    command = added(benchmark, "measure a detector on your own pictures", BENCHMARK, BENCHMARK_CODES)
    for kind, text in (("real", "photographs"), ("fake", "fakes")):
        command.add_argument(
            f"--{kind}", nargs="+", default=[], metavar="PATH", help=f"folders, zips or tars of {text}"
        )
    _add_detector(command)
    command.add_argument("--no-align", action="store_true", help="pictures are aligned faces already")
    command.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    command.add_argument("--html", type=Path, metavar="FILE", help="write a page with the worst errors")
    _add_device(command)

    text = "Write the detector as one ONNX file, and compare its scores with PyTorch's."
    command = added(export, "write the detector as ONNX", text, "exit codes: 0 written, 2 not written")
    _add_detector(command, "models/detector")
    command.add_argument(
        "--out", type=Path, default=Path("detector.onnx"), help="file to write (%(default)s)"
    )

    text = "Serve a web page on which pictures are dropped and judged. Ctrl-C ends it."
    command = added(demo, "judge pictures on a web page", text, "exit codes: 0 ended by Ctrl-C, 2 not served")
    _add_detector(command, "models/detector")
    samples = "folder with real/ and fake/ of the pipeline, whose test images are offered (%(default)s)"
    command.add_argument("--samples", type=Path, default=Path("data"), help=samples)
    host = "address to listen on (%(default)s: for this machine alone)"
    command.add_argument("--host", default="127.0.0.1", help=host)
    command.add_argument("--port", type=int, default=7860, help="(%(default)s; 0: any free one)")
    _add_device(command)
    return top


def _add_detector(command: argparse.ArgumentParser, default: str = "portraits") -> None:
    text = "portraits or celeba, which come with fakeface, or the folder of a detector (%(default)s)"
    command.add_argument("--detector", default=default, help=text)


def _add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(%(default)s)")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def predict(options: argparse.Namespace) -> int:
    """Judge pictures, and write what came of each as soon as it is known."""
    from fakeface.apps.judge import expand, judge
    from fakeface.apps.output import write_csv, write_json_lines, write_table
    from fakeface.bundle.bundle import load_bundle

    draw: Callable[[Picture, int], None] | None = None
    if options.explain is None:
        bundle = load_bundle(options.detector, options.device)
    else:
        # Heatmaps need derivatives, and those PyTorch.
        from fakeface.apps.output import write_overlays
        from fakeface.bundle.bundle import load_networks

        networks = load_networks(options.detector, options.device)
        bundle = networks
        draw = partial(write_overlays, detector=networks.detector, folder=options.explain)
    finder = None if options.no_align else bundle.finder()
    pictures = judge(expand(options.paths, sys.stdin), bundle.detector, finder, bundle.attribution)
    if options.json:
        written = write_json_lines(pictures, sys.stdout)
    elif options.csv:
        written = write_csv(pictures, sys.stdout)
    else:
        written = write_table(pictures, sys.stdout, bundle.detector.rule)
    code = 0
    for number, picture in enumerate(written, start=1):
        if draw is not None:
            draw(picture, number)
        if picture.failed:
            print(f"error: {picture.name}: {picture.message}", file=sys.stderr)
        code = max(code, int(picture.incomplete))
    return code


def score(options: argparse.Namespace) -> int:
    """Judge pictures into a Parquet file; 130 if Ctrl-C stopped it."""
    if importlib.util.find_spec("pyarrow") is None:
        raise FakefaceError("fakeface score needs PyArrow: pip install -e '.[score]'")
    if options.out.suffix != ".parquet":
        raise FakefaceError(f"--out must be a .parquet file, got {options.out}")
    from fakeface.apps.score import ENGINES, Settings, parts_of, plan, run_job
    from fakeface.bundle.bundle import prepare

    manifest = prepare(options.detector, options.device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = options.workers or _default_workers(options.device, cores)
    settings = Settings(
        options.detector, options.device, not options.no_align, options.batch_size, max(1, cores // workers)
    )
    job = plan(options.sources, options.shard_size, [manifest.files, settings.deciding()])
    try:
        summary = run_job(job, settings, options.out, ENGINES[options.engine], workers)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {parts_of(options.out)}", file=sys.stderr)
        return 130
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in summary.verdicts.items())
    print(
        f"{options.out}: {summary.pictures} pictures, {summary.faces} faces judged ({verdicts or 'none'}), "
        f"{summary.without_face} pictures without a face, {summary.failed} failed"
    )
    return int(summary.failed > 0)


def _default_workers(device: str, cores: int) -> int:
    from fakeface.bundle.bundle import gpu_count

    gpus = 0 if device == "cpu" else gpu_count()
    return min(cores, 4 * gpus) if gpus else cores


def benchmark(options: argparse.Namespace) -> int:
    """Measure the detector on labelled pictures."""
    from fakeface.apps.benchmark import as_html, as_markdown, measure, score_class
    from fakeface.base.files import write_json, write_text
    from fakeface.bundle.bundle import load_bundle

    bundle = load_bundle(options.detector, options.device)
    align = not options.no_align
    real = score_class(bundle, "real", options.real, align=align)
    fake = score_class(bundle, "fake", options.fake, align=align)
    report = measure(bundle, real, fake)
    print(as_markdown(report, options.detector))
    if options.json:
        write_json(options.json, report)
    if options.html:
        parts = [part for part in (real, fake) if part is not None]
        write_text(options.html, as_html(report, options.detector, parts))
    return int(bool(report["left_out"]))


def export(options: argparse.Namespace) -> int:
    """Write the ONNX file and compare its scores with PyTorch's."""
    import numpy as np

    from fakeface.bundle.bundle import load_networks
    from fakeface.bundle.export import check_export, write_onnx

    detector = load_networks(options.detector, "cpu").detector
    write_onnx(detector, options.out)
    size = detector.image_size
    # No pictures are at hand; on noise, too, equal arithmetic gives equal scores.
    noise = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), dtype=np.uint8)
    worst = check_export(detector, options.out, [noise])
    print(
        f"{options.out}: written; scores of 32 images of noise differ from PyTorch's by at most {worst:.1g}"
    )
    return 0


def demo(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    if importlib.util.find_spec("gradio") is None:
        raise FakefaceError("the demo needs Gradio: pip install -e '.[demo]'")
    # A signal that stops the process ends it as Ctrl-C does, so that no picture stays behind.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Readable by nobody else, and gone with the process.
    with tempfile.TemporaryDirectory(prefix="fakeface-demo-") as pictures:
        # Gradio reads these when it is imported; nothing about visitors shall leave this machine.
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": pictures}
        from fakeface.apps.demo import serve

        try:
            page = serve(options.detector, options.samples, options.host, options.port, options.device)
            print(f"the demo is at {page.local_url} - Ctrl-C ends it", flush=True)
            page.block_thread()
        except KeyboardInterrupt:
            return 0
        finally:
            signal.signal(signal.SIGTERM, before)
    return 0


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
