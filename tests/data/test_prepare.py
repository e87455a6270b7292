from __future__ import annotations

import hashlib
import io
import logging
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bundles import celeba_photographs
from conftest import CelebaRoot, encode, make_params, random_picture
from PIL import Image

from fakeface.data.image_sets import SPLITS, ImageSet, hash_split
from fakeface.data.prepare import COLUMNS, PrepareError, prepare
from fakeface.data.preprocess import preprocess
from fakeface.data.sources import download
from fakeface.params import Params, ParamsError

TESTS = str(Path(__file__).parent.parent)


def prepared(folder: Path, params: Params) -> dict[str, object]:
    """Download and prepare into ``folder``."""
    download(params, folder / "raw")
    return prepare(folder / "raw", folder / "real", params)


def folder_params(root: Path, **changes: object) -> Params:
    return make_params(**{"data.source": "folder", "data.root": str(root), **changes})


def test_pixels_and_manifest_are_those_of_the_photographs(
    tmp_path: Path, photographs: list[bytes], small_params: Params
) -> None:
    counts = prepared(tmp_path, small_params)
    by_name = {f"{number:06d}.jpg": content for number, content in enumerate(photographs, start=1)}
    seen: list[str] = []
    for split in SPLITS:
        images = ImageSet.read(tmp_path / "real" / split)
        assert tuple(images.manifest.columns) == COLUMNS
        assert list(images.manifest["name"]) == sorted(images.manifest["name"])
        assert len(images) == counts[f"n_{split}"] > 0
        for pixels, row in zip(images.images, images.manifest.itertuples(), strict=True):
            content = by_name[row.name]
            with Image.open(Path(small_params.data.root) / row.name) as photograph:
                expected = preprocess(photograph, 64)
            np.testing.assert_array_equal(pixels, expected)
            assert row.sha256 == hashlib.sha256(expected.tobytes()).hexdigest()
            assert row.file_sha256 == hashlib.sha256(content).hexdigest()
            assert row.split == split == hash_split(row.name, 0.15, 0.15)
            assert (row.source, row.width, row.height) == ("folder", 178, 218)
        assert images.manifest["identity"].isna().all()
        seen += list(images.manifest["name"])
    assert sorted(seen) == sorted(by_name)
    assert counts["n_photographs"] == 60
    assert counts["n_corrupt"] == counts["n_too_small"] == counts["n_duplicates"] == 0


def test_worker_processes_change_nothing(tmp_path: Path, small_params: Params) -> None:
    prepared(tmp_path, small_params)
    prepare(tmp_path / "raw", tmp_path / "again", small_params, workers=2)
    for split in SPLITS:
        for name in ("images.npy", "manifest.csv"):
            first, second = (tmp_path / real / split / name for real in ("real", "again"))
            assert first.read_bytes() == second.read_bytes()


def test_celeba_keeps_its_partition_and_identities(tmp_path: Path, celeba_root: CelebaRoot) -> None:
    params = make_params(**{"data.source": "celeba", "data.root": str(celeba_root.root)})
    download(params, tmp_path / "raw", celeba_files=celeba_root.files)
    counts = prepare(tmp_path / "raw", tmp_path / "real", params)
    assert [counts[f"n_{split}"] for split in SPLITS] == [40, 10, 10]
    manifests = [ImageSet.read(tmp_path / "real" / split).manifest for split in SPLITS]
    assert list(manifests[1]["identity"]) == ["2888"] * 5 + ["2889"] * 5
    people = [set(manifest["identity"]) for manifest in manifests]
    assert len(set.union(*people)) == sum(len(group) for group in people) == 12


def test_duplicates_keep_the_first_by_name(
    tmp_path: Path, photograph_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = photograph_folder / "000007.jpg"
    (photograph_folder / "zz_same_file.jpg").write_bytes(first.read_bytes())
    # Another file with the same pixels.
    (photograph_folder / "zz_same_pixels.png").write_bytes(encode(Image.open(first), "PNG"))
    with caplog.at_level(logging.INFO):
        counts = prepared(tmp_path, folder_params(photograph_folder))
    assert counts["n_duplicates"] == 2
    assert "zz_same_file.jpg: left out, the same photograph as 000007.jpg" in caplog.text
    assert "zz_same_pixels.png: left out, the same photograph as 000007.jpg" in caplog.text
    hashes = [h for split in SPLITS for h in ImageSet.read(tmp_path / "real" / split).manifest["sha256"]]
    assert len(hashes) == len(set(hashes)) == 60


def add_unusable(folder: Path, photographs: list[bytes]) -> dict[str, str]:
    """Three files that cannot be used, and what the log must say of each."""
    (folder / "cut.jpg").write_bytes(photographs[0][:3000])
    (folder / "text.jpg").write_bytes(b"hello, I am no photograph")
    (folder / "tiny.jpg").write_bytes(encode(random_picture(99, 80, 63)))
    return {
        "cut.jpg": "truncated",
        "text.jpg": "not a picture",
        "tiny.jpg": "80x63 pixels, expected at least 64",
    }


def test_unusable_photographs_are_counted_named_and_skipped(
    tmp_path: Path, photograph_folder: Path, photographs: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    reasons = add_unusable(photograph_folder, photographs)
    counts = prepared(tmp_path, folder_params(photograph_folder, **{"data.max_corrupt_fraction": 0.05}))
    assert (counts["n_corrupt"], counts["n_too_small"], counts["n_photographs"]) == (2, 1, 63)
    assert sum(int(counts[f"n_{split}"]) for split in SPLITS) == 60
    for name, reason in reasons.items():
        assert any(name in line and reason in line for line in caplog.messages)


def test_too_many_unusable_photographs_are_an_error(
    tmp_path: Path, photograph_folder: Path, photographs: list[bytes]
) -> None:
    reasons = add_unusable(photograph_folder, photographs)
    for number in range(12):
        (photograph_folder / f"zz{number:02d}.jpg").write_bytes(b"junk")
    with pytest.raises(PrepareError, match="15 of 75 photographs cannot be used") as caught:
        prepared(tmp_path, folder_params(photograph_folder))
    message = str(caught.value)
    assert "data.max_corrupt_fraction = 0.01" in message
    assert all(name in message for name in reasons)
    assert "zz06.jpg" in message
    assert "zz07.jpg" not in message
    assert "and 5 more" in message
    assert not (tmp_path / "real").exists()


def test_cmyk_and_sixteen_bit_photographs_are_used(tmp_path: Path, photograph_folder: Path) -> None:
    cmyk, grey = random_picture(101), random_picture(102).convert("L")
    (photograph_folder / "cmyk.jpg").write_bytes(encode(cmyk.convert("CMYK"), "JPEG", quality=95))
    sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    (photograph_folder / "sixteen.png").write_bytes(encode(sixteen, "PNG"))
    assert prepared(tmp_path, folder_params(photograph_folder))["n_corrupt"] == 0
    pixels = {}
    for split in SPLITS:
        images = ImageSet.read(tmp_path / "real" / split)
        pixels.update(zip(images.manifest["name"], images.images, strict=True))
    assert np.abs(pixels["cmyk.jpg"].astype(int) - preprocess(cmyk, 64)).mean() < 8
    np.testing.assert_array_equal(pixels["sixteen.png"], preprocess(grey, 64))


def test_an_empty_split_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "000001.jpg").write_bytes(encode(random_picture(1)))
    with pytest.raises(PrepareError, match=r"no photograph for \w+ and \w+ among 1, give more"):
        prepared(tmp_path, folder_params(folder))
    assert not (tmp_path / "real").exists()


def test_raw_of_another_source_is_refused(tmp_path: Path, small_params: Params) -> None:
    with pytest.raises(PrepareError, match=r"source.json: no such file, run the download stage"):
        prepare(tmp_path / "raw", tmp_path / "real", small_params)
    download(small_params, tmp_path / "raw")
    with pytest.raises(PrepareError, match=r"holds 'folder' but data.source is 'celeba-mini'"):
        prepare(tmp_path / "raw", tmp_path / "real", make_params())


RUN = """
import sys
from pathlib import Path
if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    from conftest import make_params
    from fakeface.data.prepare import prepare
    if sys.argv[5] != "0":
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[5]),) * 2)
    params = make_params(**{"data.source": "folder", "data.root": "unused"})
    prepare(Path(sys.argv[2]), Path(sys.argv[3]), params, workers=int(sys.argv[4]))
"""


def start(folder: Path, workers: int, max_file_bytes: int = 0) -> subprocess.Popen[str]:
    """prepare in a process group of its own."""
    script = folder / "run.py"
    script.write_text(RUN)
    out = folder / "out" / "real"
    arguments = [TESTS, str(folder / "raw"), str(out), str(workers), str(max_file_bytes)]
    return subprocess.Popen(
        [sys.executable, str(script), *arguments], stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def group_is_alive(group: int) -> bool:
    """Whether any process of the group still runs, by /proc; zombies do not count."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False


@pytest.mark.slow
def test_a_kill_leaves_neither_an_out_nor_workers(tmp_path: Path, small_params: Params) -> None:
    download(small_params, tmp_path / "raw")
    archive = tmp_path / "raw" / "images.zip"
    archive.unlink()
    # Enough distinct photographs to be in the middle of when the kill comes.
    with zipfile.ZipFile(archive, "w") as packed:
        base = encode(random_picture(0, 600, 600), quality=95)
        for number in range(3000):
            packed.writestr(f"{number:06d}.jpg", base[:-2] + number.to_bytes(4, "big") + base[-2:])
    process = start(tmp_path, workers=2)
    deadline = time.monotonic() + 1200
    while not list((tmp_path / "out").glob(".real.*/train/images.npy")):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    assert process.poll() is None, "prepare was over before the kill"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out" / "real").exists()
    while group_is_alive(process.pid):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_leaves_no_out(tmp_path: Path, small_params: Params, workers: int) -> None:
    download(small_params, tmp_path / "raw")
    process = start(tmp_path, workers, max_file_bytes=200_000)
    _, errors = process.communicate(timeout=1200)
    assert process.returncode == 1
    assert "File too large" in errors
    assert list((tmp_path / "out").iterdir()) == []


def test_faces_of_a_folder_are_aligned_when_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Turned, scaled and beside a smaller face, a photograph comes out as its aligned original does."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    originals = [Image.open(io.BytesIO(content)) for content in celeba_photographs(range(1, 13))]
    for number, original in enumerate(originals):
        scene = Image.new("RGB", (700, 500), "grey")
        large = original.resize((267, 327), Image.Resampling.BICUBIC).rotate(
            12, Image.Resampling.BICUBIC, expand=True
        )
        scene.paste(large, (300, 60))
        scene.paste(originals[number - 1], (40, 200))
        scene.save(folder / f"{number:02d}.png")
    Image.new("RGB", (300, 300), "grey").save(folder / "empty.png")
    changes = {"data.align": True, "data.max_corrupt_fraction": 0.2, "data.splits": {"val": 0.3, "test": 0.3}}
    counts = prepared(tmp_path, folder_params(folder, **changes))
    assert counts["n_without_face"] == 1
    assert any("empty.png: left out, no face found" in line for line in caplog.messages)
    compared = 0
    for split in SPLITS:
        images = ImageSet.read(tmp_path / "real" / split)
        for pixels, name in zip(images.images, images.manifest["name"], strict=True):
            original = preprocess(originals[int(Path(name).stem)], 64).astype(float)
            # The middle: in the corners, the scene shows through.
            difference = np.abs(pixels[16:48, 16:48] - original[16:48, 16:48]).mean()
            others = [
                np.abs(pixels[16:48, 16:48] - preprocess(other, 64)[16:48, 16:48].astype(float)).mean()
                for other in originals
            ]
            assert difference == min(others)
            compared += 1
    assert compared == 12


def test_only_a_folder_can_be_aligned() -> None:
    with pytest.raises(ParamsError, match=r"align is for source 'folder', celeba-mini is aligned already"):
        make_params(**{"data.align": True})
