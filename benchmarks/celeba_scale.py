"""The data side at CelebA's size: time, memory and disk of each step.

python benchmarks/celeba_scale.py WORK                  # about 10 GB, a quarter of an hour on two cores
python benchmarks/celeba_scale.py WORK --photographs 20000

WORK gets a stand-in for CelebA: its official files and split sizes, filled with variants of --archive's
photographs (shifted, recompressed) of the official size, no two alike. One that is there is used again.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import yaml
from peak_memory import INTERVAL_SECONDS, descendants, memory
from PIL import Image

from fakeface.data.archives import open_archive
from fakeface.params import Params, resolve_profile

PHOTOGRAPHS, IDENTITIES = 202_599, 10_177
# Where the official partition begins to validate and to test, as shares of all.
VALIDATE, TEST = 162_770 / PHOTOGRAPHS, 182_637 / PHOTOGRAPHS
FILES = ("img_align_celeba.zip", "list_eval_partition.txt", "identity_CelebA.txt")
STEPS = ("download", "prepare", "training_data", "commit")


def variant(picture: np.ndarray, number: int) -> bytes:
    """A JPEG file of the shifted picture; ``number`` decides shift and quality."""
    rng = np.random.default_rng(number)
    shifted = np.roll(picture, rng.integers(-8, 9, 2), axis=(0, 1))
    image = Image.fromarray(shifted).rotate(float(rng.uniform(-3, 3)), resample=Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=int(rng.integers(70, 96)))
    return buffer.getvalue()


def stand_in_zip(path: Path, archive: Path, count: int, folder: str = "") -> list[str]:
    """A zip of ``count`` photographs, no two alike: variants of those in ``archive``; returns their names."""
    with open_archive(archive) as opened:
        pictures = [
            np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize((178, 218)))
            for _, content in opened
        ]
    names = [f"{number:06d}.jpg" for number in range(1, count + 1)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for number, name in enumerate(names, start=1):
            packed.writestr(folder + name, variant(pictures[number % len(pictures)], number))
    return names


def stand_in(root: Path, archive: Path, count: int) -> None:
    """CelebA's three files in ``root``, with ``count`` photographs."""
    root.mkdir(parents=True)
    partition, identity = io.StringIO(), io.StringIO()
    for number, name in enumerate(
        stand_in_zip(root / FILES[0], archive, count, "img_align_celeba/"), start=1
    ):
        code = int(number > VALIDATE * count) + int(number > TEST * count)
        partition.write(f"{name} {code}\n")
        # A person is in one split only.
        identity.write(f"{name} {code * IDENTITIES + number % (IDENTITIES // 3)}\n")
    (root / FILES[1]).write_text(partition.getvalue())
    (root / FILES[2]).write_text(identity.getvalue())


def step(name: str, work: Path) -> None:
    """Do one step in this process and print a line about it."""
    from fakeface.data.prepare import prepare
    from fakeface.data.sources import RemoteFile, download

    params = Params.model_validate(yaml.safe_load(resolve_profile("celeba")))
    params = params.model_copy(
        update={"data": params.data.model_copy(update={"root": str(work / "root")}), "held_out": []}
    )
    if name == "download":
        md5 = {}
        for file in FILES:
            with (work / "root" / file).open("rb") as opened:
                md5[file] = hashlib.file_digest(opened, "md5").hexdigest()
        files = [RemoteFile(file, f"http://127.0.0.1:1/{file}", md5[file]) for file in FILES]
        download(params, work / "raw", celeba_files=files)
    elif name == "prepare":
        print(json.dumps(prepare(work / "raw", work / "real", params)))
    elif name == "training_data":
        training_data(params, work)
    else:
        commit(work)


def training_data(params: Params, work: Path) -> None:
    """Batches as the CFFN's training takes them, photographs and as many stand-ins for fakes."""
    from fakeface.data.image_sets import ImageSet
    from fakeface.detector.batches import BalancedBatches, DetectorData
    from fakeface.detector.views import Views, training_kind

    real = ImageSet.read(work / "real" / "train")
    data = DetectorData(
        (real, real),
        np.repeat([0, 1], len(real)),
        real.manifest,
        ("photographs again",),
    )
    batches = BalancedBatches(data.groups, 88, 0)
    began, images = time.perf_counter(), 0
    number = 0
    while time.perf_counter() - began < 20:
        rows, laps = batches.batch(number)
        images += len(Views(data, rows, laps, training_kind(params), params.seed).pixels)
        number += 1
    print(f"{images / (time.perf_counter() - began):.0f} images/s laundered for training, one thread")


def commit(work: Path) -> None:
    """What `dvc repro` does with the outputs of the two stages: hash them, and link them into its cache."""
    for old in (work / ".dvc", work / "dvc.lock"):
        if old.is_dir():
            shutil.rmtree(old)
        old.unlink(missing_ok=True)
    stage = {"cmd": "true", "outs": [{"raw": {"persist": True}}, {"real": {"persist": True}}]}
    (work / "dvc.yaml").write_text(json.dumps({"stages": {"data": stage}}))
    for arguments in (
        ["init", "--quiet", "--no-scm"],
        ["config", "cache.type", "hardlink,copy"],
        ["repro", "--quiet"],
    ):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, cwd=work)


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds of a command, and GiB at most of all its processes, with and without pages of files."""
    began, peaks = time.perf_counter(), {"Pss": 0, "Pss_Anon": 0}
    running = subprocess.Popen(command)
    while running.poll() is None:
        family = descendants(running.pid)
        for kind in peaks:
            peaks[kind] = max(peaks[kind], sum(memory(pid, kind) for pid in family))
        time.sleep(INTERVAL_SECONDS)
    if running.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {running.returncode}")
    return time.perf_counter() - began, peaks["Pss"] / 2**20, peaks["Pss_Anon"] / 2**20


def gibibytes(*folders: Path) -> float:
    """Size of all files in the folders, each once, however many names it has."""
    files = [path.stat() for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values()) / 2**30


def main() -> None:
    """Make the stand-in unless it is there, run every step and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--photographs", type=int, default=PHOTOGRAPHS)
    parser.add_argument("--archive", type=Path, default=Path("data/raw/images.zip"))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step(options.step, options.work)
        return
    if not (options.work / "root").exists():
        began = time.perf_counter()
        stand_in(options.work / "root", options.archive, options.photographs)
        print(f"stand-in made in {time.perf_counter() - began:.0f} s")
    for name in STEPS:
        seconds, all_pages, own = measured([sys.executable, __file__, str(options.work), "--step", name])
        memory_used = f"{all_pages:.2f} GiB of memory at most, {own:.2f} without pages of files"
        print(f"{name}: {seconds:.0f} s, {memory_used}", flush=True)
    for folder in ("root", "raw", "real"):
        print(f"{folder}: {gibibytes(options.work / folder):.2f} GiB on disk")
    everything = gibibytes(*(options.work / folder for folder in ("raw", "real", ".dvc")))
    print(f"raw, real and DVC's cache of both: {everything:.2f} GiB on disk")


if __name__ == "__main__":
    main()
