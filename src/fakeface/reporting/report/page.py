"""The report's page: its sections in ``page.html``, which escapes all but what is marked safe."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from fakeface.base.files import write_text
from fakeface.reporting.report.sections import Run, headline, sections


def render(root: Path) -> str:
    """The page of the run below ``root``.

    Raises:
        ReportError, TableError, BundleError: if a file that it needs is missing or damaged.
    """
    run = Run(root)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    parts = list(sections(run))
    return template.render(headline=headline(run), sections=parts)


def write_report(root: Path, out: Path) -> None:
    """Write the page, whole or not at all; errors are those of :func:`render`."""
    write_text(out, render(root))
