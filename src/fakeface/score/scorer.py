"""One shard to its rows: what a worker does, in this process, in another one or on another machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import pyarrow as pa
import torch

from fakeface.bundle.load import load_bundle
from fakeface.faces.finder import FaceFinder
from fakeface.predict.inputs import PictureError
from fakeface.predict.judge import Picture, judge_contents
from fakeface.score.shards import Reader, Shard

SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("picture", pa.string()),
        ("face", pa.int32()),
        *[(side, pa.float32()) for side in ("left", "top", "right", "bottom")],
        ("verdict", pa.string()),
        ("score", pa.float64()),
        ("resembles", pa.string()),
        ("message", pa.string()),
        ("failed", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Settings:
    """How pictures are judged.

    Attributes:
        detector: folder of the bundle.
        device: ``auto``, ``cpu`` or ``cuda``.
        align: find faces and align them; False: every picture is one aligned face.
        batch_size: faces a pass of the networks.
        threads: of this worker on the CPU.
    """

    detector: str
    device: str = "auto"
    align: bool = True
    batch_size: int = 64
    threads: int = 1

    def deciding(self) -> dict[str, object]:
        """What the rows depend on, beside the detector's content."""
        settings = asdict(self)
        return {key: settings[key] for key in ("align", "batch_size")}


class Scorer:
    """Loads the detector once and scores shards with it.

    Raises:
        BundleError: if there is no usable detector.
    """

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.bundle = load_bundle(settings.detector, settings.device)
        self.finder = FaceFinder(self.bundle.faces, threads=settings.threads) if settings.align else None
        self.reader = Reader()

    def __call__(self, shard: Shard) -> pa.Table:
        """A row a face; one without a face for a picture that has none or cannot be read."""
        pictures = judge_contents(
            self._contents(shard),
            self.bundle.detector,
            self.finder,
            self.bundle.attribution,
            self.settings.batch_size,
        )
        rows = [row for picture in pictures for row in _rows(shard.source, picture)]
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def _contents(self, shard: Shard) -> Iterator[tuple[str, bytes | PictureError]]:
        for name in shard.names:
            try:
                yield name, self.reader.read(shard.source, name)
            except PictureError as error:
                yield name, error


def _rows(source: str, picture: Picture) -> Iterator[dict[str, object]]:
    common = {"source": source, "picture": picture.name, "failed": picture.failed}
    for number, face in enumerate(picture.faces, start=1):
        box = dict(zip(("left", "top", "right", "bottom"), face.box or [None] * 4, strict=True))
        yield (
            common
            | box
            | {
                "face": number,
                "verdict": face.verdict,
                "score": face.score,
                "resembles": face.resembles,
                "message": face.reason,
                "failed": face.verdict is None,
            }
        )
    if not picture.faces:
        yield common | {"message": picture.message}
