"""The demo in a real browser: upload, verdict, a picture without a face, a file that is no picture."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser
from conftest import encode, random_picture
from PIL import Image

from fakeface.apps.cli import main

pytest.importorskip("gradio", reason="needs the extra demo")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason="needs Chromium or Chrome"),
]
# Milliseconds, for what takes one second on an idle machine.
TIMEOUT = 600_000


@pytest.fixture(scope="module")
def served(detector_folder: Path, data_folder: Path) -> Iterator[str]:
    from fakeface.apps.demo import serve

    page = serve(str(detector_folder), data_folder, "127.0.0.1", 0, "cpu")
    yield str(page.local_url)
    page.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # No sandbox: CI runs as root in a container.
        program = driver.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        yield program
        program.close()


@pytest.fixture
def page(served: str, chromium: Any) -> Iterator[Any]:
    """The demo in a new tab; errors of its console fail the test."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 1000})
    errors: list[str] = []
    tab.set_default_timeout(TIMEOUT)
    tab.on("console", lambda message: message.type == "error" and errors.append(message.text))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(served)
    tab.wait_for_selector("#upload input[type=file]", state="attached")
    yield tab
    tab.close()
    assert errors == []


def verdict(tab: Any, expected: str) -> str:
    """The page's answer, once it holds ``expected``."""
    tab.locator("#verdict", has_text=expected).wait_for()
    return str(tab.inner_text("#verdict"))


def upload(tab: Any, path: Path) -> None:
    tab.set_input_files("#upload input[type=file]", path)


def shown(tab: Any, selector: str) -> list[int]:
    """Widths of the pictures below an element, once all are loaded."""
    tab.wait_for_function(
        "selector => { const all = [...document.querySelectorAll(selector + ' img')];"
        " return all.length && all.every(image => image.complete && image.naturalWidth); }",
        arg=selector,
    )
    return [int(one.evaluate("image => image.naturalWidth")) for one in tab.locator(f"{selector} img").all()]


def test_a_picture_is_judged_face_by_face(page: Any, group: Image.Image, tmp_path: Path) -> None:
    group.save(tmp_path / "group.png")
    upload(page, tmp_path / "group.png")
    assert "Face 3: " in verdict(page, "Face 1: ")
    assert shown(page, "#picture") == [700]
    assert shown(page, "#evidence") == [256] * 6
    assert "What this can and cannot tell" in page.inner_text("body")


def test_no_face_is_a_message_and_ticking_the_box_judges_the_whole(page: Any, tmp_path: Path) -> None:
    (tmp_path / "noise.jpg").write_bytes(encode(random_picture(3)))
    upload(page, tmp_path / "noise.jpg")
    verdict(page, "no face found")
    page.check("#aligned input")
    assert "no face found" not in verdict(page, "Its score is")


def test_a_page_named_jpg_is_no_picture(page: Any, tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html><script>alert(1)</script></html>")
    upload(page, tmp_path / "page.jpg")
    verdict(page, "This file cannot be judged: not a picture")
    assert not page.locator("#picture").is_visible()
    assert not page.locator("#evidence").is_visible()


def test_a_test_picture_is_judged_on_a_click(page: Any) -> None:
    page.locator("#samples button").last.click()
    assert "Its score is" in verdict(page, "Test picture: a fake of sngan, a GAN that the detector never saw")
    assert len(shown(page, "#evidence")) == 2


def test_the_limits_hold(
    detector_folder: Path, chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakeface.apps import demo

    monkeypatch.setattr(demo.RateLimit.__init__, "__defaults__", ("1/minute",))
    monkeypatch.setattr(demo, "MAX_FILE_SIZE", "100 KB")
    server = demo.serve(str(detector_folder), tmp_path / "no data", "127.0.0.1", 0, "cpu")
    tab = chromium.new_page()
    tab.set_default_timeout(TIMEOUT)
    try:
        tab.goto(server.local_url)
        tab.wait_for_selector("#upload input[type=file]", state="attached")
        assert tab.locator("#samples").count() == 0
        (tmp_path / "large.jpg").write_bytes(bytes(200_000))
        upload(tab, tmp_path / "large.jpg")
        tab.get_by_text("Error", exact=True).first.wait_for()
        assert "judged" not in tab.inner_text("body")
        (tmp_path / "noise.jpg").write_bytes(encode(random_picture(3, 100, 100)))
        upload(tab, tmp_path / "noise.jpg")
        verdict(tab, "no face found")
        tab.check("#aligned input")
        verdict(tab, "Please wait: this page takes at most 1 pictures in 60 seconds")
    finally:
        tab.close()
        server.close()


def test_a_port_in_use_is_an_error(
    served: str, detector_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = served.rstrip("/").rsplit(":", 1)[1]
    assert main(["demo", "--detector", str(detector_folder), "--port", port]) == 2
    assert f"error: cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_an_address_that_there_is_not_is_an_error(
    detector_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--detector", str(detector_folder), "--host", "nowhere.invalid"]) == 2
    assert "error: cannot listen on nowhere.invalid: " in capsys.readouterr().err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped_and_leaves_no_picture(
    detector_folder: Path, chromium: Any, tmp_path: Path, how: signal.Signals
) -> None:
    """And while it serves, nobody else may read what was uploaded."""
    command = [sys.executable, "-m", "fakeface.apps.cli", "demo", "--port", "0"]
    command += ["--detector", str(detector_folder)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    (tmp_path / "noise.jpg").write_bytes(encode(random_picture(3, 100, 100)))

    def obey() -> None:
        # A shell lets its background jobs ignore Ctrl-C, the jobs of this test with them.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment, preexec_fn=obey
    ) as process:
        try:
            assert process.stdout is not None
            tab = chromium.new_page()
            tab.set_default_timeout(TIMEOUT)
            tab.goto(process.stdout.readline().split()[4])
            tab.wait_for_selector("#upload input[type=file]", state="attached")
            upload(tab, tmp_path / "noise.jpg")
            verdict(tab, "no face found")
            tab.close()
            (folder,) = tmp_path.glob("fakeface-demo-*")
            assert folder.stat().st_mode & 0o077 == 0
            assert [path.name for path in folder.rglob("*.jpg")] == ["noise.jpg"]
            process.send_signal(how)
            assert process.wait(timeout=TIMEOUT / 1000) == 0
        finally:
            process.kill()  # or a failure would wait for it, for ever
    assert not folder.exists()


def test_photographs_are_offered_to_this_machine_alone(
    detector_folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakeface.apps import demo

    offered: dict[str, list[str]] = {}

    class Stop(Exception):
        pass

    def record(_bundle: object, _finder: object, samples: list[Any]) -> None:
        offered[host] = [sample.source for sample in samples]
        raise Stop

    monkeypatch.setattr(demo, "build_page", record)
    for host in ("127.0.0.1", "localhost", "192.0.2.1"):
        with pytest.raises(Stop):
            demo.serve(str(detector_folder), data_folder, host, 0, "cpu")
    assert set(offered["127.0.0.1"]) == set(offered["localhost"]) == {"photograph", "dcgan", "sngan"}
    assert set(offered["192.0.2.1"]) == {"dcgan", "sngan"}
