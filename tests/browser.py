"""A page in headless Chromium: what its pictures look like to the browser, and what it complains of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Appended to a copy of the page: it says in the page's text what was drawn.
_PROBE = """<script>
window.addEventListener('load', () => {
  document.querySelectorAll('details').forEach(part => { part.open = true; });
  const drawn = [...document.querySelectorAll('img, svg')].map(one => {
    const box = one.getBoundingClientRect();
    return {tag: one.tagName, width: one.naturalWidth ?? box.width, shown: box.width > 0 && box.height > 0};
  });
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const note = document.createElement('pre');
  note.id = 'probe';
  note.textContent = JSON.stringify({drawn: drawn, wide: wide});
  document.body.append(note);
});
</script>"""


def browser() -> str | None:
    """Path of a Chromium or Chrome, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def open_page(page: Path, scratch: Path, width: int) -> tuple[dict[str, Any], list[str]]:
    """Open a copy of ``page`` in a window of that width.

    Returns:
        ``drawn`` (a dictionary a picture) and ``wide`` (pixels that the page is wider than the window); and
        the lines that the console shows.
    """
    program = browser()
    assert program is not None
    copy = scratch / "page.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{_PROBE}</body>"), encoding="utf-8")
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--user-data-dir={scratch / 'profile'}", f"--window-size={width},900", "--dump-dom"]
    command += ["--virtual-time-budget=5000", copy.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=True)
    found = re.search(r'<pre id="probe">(.*?)</pre>', result.stdout, re.DOTALL)
    assert found, result.stderr[-2000:]
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(found[1]), console
