"""`fakeface score`: the rows of predict, whoever computes them, and an interrupted job goes on."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bundles import celeba_photographs, make_bundle
from conftest import encode, random_picture
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fakeface.apps.cli import main
from fakeface.apps.score import Job, ScoreError, Settings, Shard, parts_of, plan, run_job, score_locally

PICTURES = 23


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("score"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of good pictures, one that is none, one of a single pixel, and a text."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for seed in range(PICTURES):
        place = folder / "more" if seed % 3 == 0 else folder
        (place / f"{seed:03d}.jpg").write_bytes(encode(random_picture(seed), quality=95))
    (folder / "page.jpg").write_bytes(b"<html></html>")
    (folder / "dot.png").write_bytes(encode(random_picture(0, 8, 8), "PNG"))
    (folder / "notes.txt").write_text("no picture")
    return folder


def score(detector: Path, *arguments: object) -> int:
    options = ["--detector", detector, "--device", "cpu", "--no-align", "--shard-size", 5, "--batch-size", 4]
    return main(["score", *map(str, [*options, *arguments])])


def rows(path: Path) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return result


def test_rows_are_those_of_predict(
    detector: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.parquet"
    assert score(detector, pictures, "--out", out, "--workers", 1) == 1
    assert f"{PICTURES + 2} pictures, {PICTURES} faces judged" in capsys.readouterr().out
    found = rows(out)
    assert main(["predict", "--detector", str(detector), "--no-align", "--csv", str(pictures)]) == 1
    expected = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [str(pictures / row["picture"]) for row in found] == [row["picture"] for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert (row["verdict"] or "", row["resembles"] or "") == (other["verdict"], other["resembles"])
        assert (row["message"] or "") == other["message"]
        if row["score"] is not None:
            assert row["score"] == pytest.approx(float(other["score"]), abs=1e-6)
        assert row["failed"] == (row["verdict"] is None)
        assert row["source"] == str(pictures)
    assert {row["picture"] for row in found if row["failed"]} == {"dot.png", "page.jpg"}
    assert not parts_of(out).exists()


def without_source(path: Path) -> list[dict[str, Any]]:
    return sorted((row | {"source": ""} for row in rows(path)), key=lambda row: row["picture"])


def same_rows(found: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        # Another number of threads may round otherwise.
        assert row["score"] == pytest.approx(other["score"], abs=1e-6)
        assert row | {"score": None} == other | {"score": None}


def test_archives_have_the_rows_of_the_folder(detector: Path, pictures: Path, tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w") as packed,
        tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar,
    ):
        for path in pictures.rglob("*"):
            packed.write(path, path.relative_to(pictures))
        tar.add(pictures, ".")
    expected = tmp_path / "folder.parquet"
    score(detector, pictures, "--out", expected, "--workers", 1, "--shard-size", 100)
    for name in ("a.zip", "a.tar.gz"):
        out = tmp_path / f"{name}.parquet"
        assert score(detector, tmp_path / name, "--out", out, "--workers", 1, "--shard-size", 100) == 1
        same_rows(without_source(out), without_source(expected))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_two_workers_give_the_rows_of_one(
    detector: Path, pictures: Path, tmp_path: Path, engine: str
) -> None:
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    assert score(detector, pictures, "--out", one, "--workers", 1) == 1
    assert score(detector, pictures, "--out", two, "--workers", 2, "--engine", engine) == 1
    same_rows(rows(two), rows(one))


def test_faces_are_found(detector: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, content in enumerate(celeba_photographs((1, 2))):
        (folder / f"{number}.jpg").write_bytes(content)
    (folder / "none.jpg").write_bytes(encode(random_picture(1)))
    out = tmp_path / "scores.parquet"
    command = ["score", str(folder), "--detector", str(detector), "--device", "cpu", "--out", str(out)]
    assert main([*command, "--workers", "1"]) == 0
    first, second, none = rows(out)
    for row in (first, second):
        assert row["verdict"] is not None
        assert row["left"] < row["right"]
    assert none["message"] == "no face found"
    assert not none["failed"]


def counting(calls: list[int], stop_after: int | None = None) -> Any:
    """The local engine, which notes what it is given and may be interrupted."""

    def engine(shards: Sequence[Shard], settings: Settings, workers: int) -> Iterator[tuple[Shard, pa.Table]]:
        for number, (shard, table) in enumerate(score_locally(shards, settings, workers)):
            if number == stop_after:
                raise KeyboardInterrupt
            calls.append(shard.number)
            yield shard, table

    return engine


def test_an_interrupted_job_scores_only_what_is_left(detector: Path, pictures: Path, tmp_path: Path) -> None:
    job = plan([str(pictures)], 5, "settings")
    settings = Settings(str(detector), "cpu", align=False)
    whole = tmp_path / "whole.parquet"
    run_job(job, settings, whole, score_locally, 1)
    out, calls = tmp_path / "scores.parquet", list[int]()
    with pytest.raises(KeyboardInterrupt):
        run_job(job, settings, out, counting(calls, stop_after=2), 1)
    assert not out.exists()
    # What a kill in the middle of writing leaves behind is not taken for a shard.
    (parts_of(out) / ".000002.parquet.x").write_bytes(b"half")
    run_job(job, settings, out, counting(calls), 1)
    assert calls == [0, 1, 2, 3, 4]
    assert rows(out) == rows(whole)
    run_job(job, settings, out, counting(calls), 1)
    assert len(calls) == 5  # it is done


def test_a_killed_command_goes_on(detector: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    options = ["--detector", detector, "--device", "cpu", "--no-align", "--workers", 1, "--shard-size", 1]
    command = ["score", *map(str, [pictures, *options, "--out", out])]
    running = subprocess.Popen(
        [sys.executable, "-m", "fakeface.apps.cli", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 1200
    while not list(parts_of(out).glob("*.parquet")):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not out.exists()
    assert main(command) == 1
    assert len(rows(out)) == PICTURES + 2


def test_another_job_is_not_mixed_in(
    detector: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.parquet"
    parts = parts_of(out)
    parts.mkdir()
    assert score(detector, pictures, "--out", out, "--workers", 1) == 2
    assert f"error: {parts}: shards of another job" in capsys.readouterr().err
    shutil.rmtree(parts)
    assert score(detector, pictures, "--out", out, "--workers", 1) == 1
    assert score(detector, pictures, "--out", out, "--workers", 1) == 1
    before = out.read_bytes()
    (pictures / "notes.jpg").write_bytes(encode(random_picture(99)))
    assert score(detector, pictures, "--out", out, "--workers", 1) == 2
    assert f"error: {out}: exists and is of another job" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.parametrize("change", ["content", "detector", "options"])
def test_the_fingerprint_covers_what_decides(pictures: Path, change: str) -> None:
    def planned(settings: Any) -> Job:
        return plan([str(pictures)], 5, settings)

    settings: list[Any] = [{"cn.safetensors": "a"}, {"align": False}]
    before = planned(settings)
    assert planned(copy.deepcopy(settings)).fingerprint == before.fingerprint
    if change == "content":
        file = pictures / "001.jpg"
        state = file.stat()
        file.write_bytes(file.read_bytes()[::-1])
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    else:
        settings[change == "options"] = {"other": True}
    assert planned(settings).fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "a.parquet"], "nowhere: no such file or folder"),
        (["empty", "--out", "a.parquet"], "empty: a folder without pictures"),
        (["one.jpg", "--out", "a.parquet"], "one.jpg: a picture, expected a folder or an archive"),
        (["torn.zip", "--out", "a.parquet"], "torn.zip: not a readable folder, zip or tar"),
        (["empty", "empty", "--out", "a.parquet"], "each folder or archive once, got empty empty"),
        (["empty", "--out", "a.csv"], "--out must be a .parquet file, got a.csv"),
    ],
)
def test_what_cannot_be_scored_is_said_in_a_line(
    detector: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.jpg").write_bytes(encode(random_picture(0)))
    (tmp_path / "torn.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    assert score(detector, *arguments) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_detector_of_another_layout_is_one_line_whoever_loads_it(
    detector: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    other = tmp_path / "other"
    shutil.copytree(detector, other)
    manifest = json.loads((other / "detector.json").read_text())
    tensors = load_file(other / "cn.safetensors")
    with safe_open(other / "cn.safetensors", "pt") as opened:
        header = opened.metadata()
    name = next(iter(tensors))
    tensors[name] = tensors[name][..., :-1].contiguous()
    save_file(tensors, other / "cn.safetensors", header)
    manifest["files"]["cn.safetensors"] = hashlib.sha256((other / "cn.safetensors").read_bytes()).hexdigest()
    (other / "detector.json").write_text(json.dumps(manifest))
    out = tmp_path / "a.parquet"
    # One shard: another worker would only take longer to start.
    assert score(other, pictures, "--out", out, "--workers", workers, "--shard-size", 100) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: {other / 'cn.safetensors'}: ")
    assert "size mismatch" in error
    assert not out.exists()


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


def test_a_worker_that_dies_is_said(detector: Path) -> None:
    settings = Settings(str(detector), "cpu")
    with pytest.raises(ScoreError, match="a worker process died"):
        list(score_locally([Deadly()], settings, 2))  # type: ignore[list-item]


def test_an_output_that_cannot_be_written_is_said(
    detector: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert score(detector, pictures, "--out", tmp_path / "file" / "a.parquet") == 2
    assert f"error: cannot write {tmp_path / 'file' / 'a.parquet.parts'}" in capsys.readouterr().err
