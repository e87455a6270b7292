"""Commands of README and docs are run by tests, links lead somewhere, the site builds without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import documented
import pytest
import yaml
from conftest import make_params
from documented import PAGES, ROOT, shell_commands

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def test_what_runs_each_command_is_known() -> None:
    shown = {command for page in PAGES for command in shell_commands(page)}
    known = [
        *documented.IN_A_SMALL_CLONE,
        *documented.SHORTENED,
        *documented.NOTHING_YET,
        *documented.FOLDS,
        *documented.PROFILES,
        *documented.ZOO,
        *documented.ELSEWHERE,
    ]
    assert len(known) == len(set(known))
    assert shown - set(known) == set(), "no test runs these"
    assert set(known) - shown == set(), "no page shows these"


@pytest.mark.parametrize("command", list(documented.ELSEWHERE))
def test_what_runs_elsewhere_does_run_there(command: str) -> None:
    place, words = documented.ELSEWHERE[command]
    assert words in (ROOT / place).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")) or "reference/" in target:
            continue
        path = (page.parent / target).resolve()
        assert path.exists(), target
        if anchor:
            assert anchor[1:] in headings(path), target + anchor


def headings(page: Path) -> set[str]:
    """Anchors as GitHub and MyST make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_params_of_the_how_to_are_valid() -> None:
    (text,) = documented.blocks(ROOT / "docs" / "how-to" / "photographs.md", "yaml")
    params = make_params(data=yaml.safe_load(text)["data"])
    assert params.data.align


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="needs the extra docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", tmp_path / "d"]
    done = subprocess.run(
        [*command, ROOT / "docs", tmp_path / "site"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "cli.html").read_text(encoding="utf-8")
    assert "fakeface predict" in page
    # The site needs no network either.
    for file in (tmp_path / "site").rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r'<(script|img)[^>]*src="(https?:)?//', text), file
        assert not re.search(r'<link[^>]*rel="stylesheet"[^>]*href="(https?:)?//', text), file
