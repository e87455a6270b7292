"""Photographs for training generators: the main pipeline's preprocessing and splits on the zoo's source."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fakeface.data.prepare import prepare
from fakeface.data.sources import download
from fakeface.gans.recipes import ZooParams
from fakeface.params import DataParams, Params


@dataclass(frozen=True)
class _DataOnly:
    """The two keys of params.yaml that ``download`` and ``prepare`` read."""

    data: DataParams
    image_size: int


def prepare_photographs(zoo: ZooParams, out: Path) -> dict[str, Any]:
    """Write ``out``/{train,val,test}; generators learn from train.

    A photograph's split follows from its file name or the official partition, so one that the main
    pipeline validates or tests with is never in train here, whichever of the two sources holds more.

    Returns:
        Counts, see :func:`fakeface.data.prepare.prepare`.

    Raises:
        SourceError, PrepareError, ArchiveError: see ``download`` and ``prepare``.
    """
    params = cast(Params, _DataOnly(zoo.data_params, zoo.image_size))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".raw.", dir=out.parent) as folder:
        raw = Path(folder) / "raw"
        download(params, raw)
        return prepare(raw, out, params)
