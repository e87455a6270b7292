"""The page itself, from the sections and a template."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from fakeface.atomic import write_text
from fakeface.report.sections import Run, headline, sections
from fakeface.report.template import TEMPLATE


def render(root: Path) -> str:
    """The page of the run below ``root``.

    Raises:
        ReportError, TableError, BundleError: if a file that it needs is missing or damaged.
    """
    run = Run(root)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    parts = list(sections(run))
    return environment.from_string(TEMPLATE).render(headline=headline(run), sections=parts)


def write_report(root: Path, out: Path) -> None:
    """Write the page, whole or not at all; errors are those of :func:`render`."""
    write_text(out, render(root))
