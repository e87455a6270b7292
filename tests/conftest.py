"""Fixtures shared by all tests: small synthetic photographs, and the repository's own params made small."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

# Before PyTorch is imported: with one process a core, a second thread in each is slower than none.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings
from loopback import serve  # noqa: F401
from PIL import Image
from scipy.ndimage import zoom

from fakeface.data.sources import RemoteFile
from fakeface.params import Params, read_yaml, validate

# Examples are as slow as the machine is busy; speed is the benchmarks' subject.
settings.register_profile(
    "fakeface", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fakeface")

REPOSITORY = Path(__file__).parent.parent
N_PHOTOGRAPHS = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest first: begun last, it would run alone while the other core waits."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")
    # What is imported by now stays: the collector of cycles need not walk through it again and again.
    gc.freeze()


def random_picture(seed: int, width: int = 178, height: int = 218) -> Image.Image:
    """A smooth random colour field with a little noise: compresses and rescales like a photograph."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (6, 5, 3))
    smooth = zoom(coarse, (height / 6, width / 5, 1), order=1)
    noisy = smooth + rng.normal(0, 6, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encode(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def make_params(**changes: object) -> Params:
    """The repository's params.yaml with some keys replaced, for instance ``{"data.source": "celeba"}``."""
    content = read_yaml(REPOSITORY / "params.yaml")
    for key, value in changes.items():
        *sections, last = key.split(".")
        target = content
        for section in sections:
            target = target[section]
        target[last] = value
    params: Params = validate(Params, content, "params.yaml")
    return params


@pytest.fixture(scope="session")
def photographs() -> list[bytes]:
    """60 distinct JPEG files of 178x218 pixels, the size of an aligned CelebA photograph."""
    return [encode(random_picture(seed), quality=90) for seed in range(N_PHOTOGRAPHS)]


@pytest.fixture
def photograph_folder(tmp_path: Path, photographs: list[bytes]) -> Path:
    """A folder with the photographs as 000001.jpg to 000060.jpg; each test gets its own."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, content in enumerate(photographs, start=1):
        (folder / f"{number:06d}.jpg").write_bytes(content)
    return folder


@dataclass(frozen=True)
class CelebaRoot:
    """A folder in CelebA's official layout, and what its files should be.

    Identities have five photographs each; 40 photographs train, 10 validate, 10 test.
    """

    root: Path
    files: list[RemoteFile]


@pytest.fixture
def celeba_root(tmp_path: Path, photographs: list[bytes]) -> CelebaRoot:
    """The photographs as CelebA ships them: a zip, a partition and a table of identities."""
    root = tmp_path / "celeba_root"
    root.mkdir()
    with zipfile.ZipFile(root / "img_align_celeba.zip", "w") as archive:
        archive.writestr("img_align_celeba/", b"")
        for number, content in enumerate(photographs, start=1):
            archive.writestr(f"img_align_celeba/{number:06d}.jpg", content)
    partition = identity = ""
    for number in range(1, len(photographs) + 1):
        code = 0 if number <= 40 else 1 if number <= 50 else 2
        partition += f"{number:06d}.jpg {code}\n"
        identity += f"{number:06d}.jpg {2880 + (number - 1) // 5}\n"
    (root / "list_eval_partition.txt").write_text(partition)
    (root / "identity_CelebA.txt").write_text(identity)
    names = ("img_align_celeba.zip", "list_eval_partition.txt", "identity_CelebA.txt")
    md5 = {name: hashlib.md5((root / name).read_bytes(), usedforsecurity=False).hexdigest() for name in names}
    # Port 1 refuses at once: with the files at hand, nothing may be fetched.
    return CelebaRoot(root, [RemoteFile(name, f"http://127.0.0.1:1/{name}", md5[name]) for name in names])


@pytest.fixture
def small_params(photograph_folder: Path) -> Params:
    """The default params on the small photographs, with every number small enough for seconds on a CPU."""
    return make_params(
        **{
            "device": "cpu",
            "data.source": "folder",
            "data.root": str(photograph_folder),
            "generate.n_train": 24,
            "generate.n_val": 12,
            "generate.n_test": 16,
            "generate.batch_size": 16,
            "quality.n_images": 16,
            "quality.kid_subset_size": 8,
            "quality.kid_subsets": 4,
            "quality.batch_size": 8,
            "cffn.epochs": 1,
            "cffn.batch_size": 8,
            "cn.epochs": 1,
            "cn.batch_size": 8,
            "cn.views": 1,
            "evaluate.bootstrap": 20,
            "evaluate.batch_size": 16,
            "evaluate.embedding_points": 8,
        }
    )
