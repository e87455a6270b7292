"""Photographs a second of JPEG decoding and of prepare: python benchmarks/prepare.py

The photographs of --archive are packed --copies times under different names, with two bytes after the end of
each JPEG that no decoder reads. Copies prepare to equal pixels, so they are kept here; all else is the stage.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fakeface.data import prepare as stage
from fakeface.data.archives import open_archive, write_zip
from fakeface.data.decode import decode
from fakeface.params import load_params


class _NoDuplicates(stage._Duplicates):
    """Does the real work of remembering, then keeps the copy."""

    def is_new(self, photograph: stage.Prepared) -> bool:
        super().is_new(photograph)
        return True


def _copies(archive: Path, copies: int) -> Iterator[tuple[str, bytes]]:
    with open_archive(archive) as opened:
        photographs = list(opened)
    for copy in range(copies):
        for number, (_, content) in enumerate(photographs):
            yield f"{copy * len(photographs) + number:07d}.jpg", content + copy.to_bytes(2, "big")


def main() -> None:
    """Print the speeds and the load of the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--archive", type=Path, default=Path("data/raw/images.zip"))
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--params", default="params.yaml")
    options = parser.parse_args()
    params = load_params(options.params)
    stage._Duplicates = _NoDuplicates  # type: ignore[misc]
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as temporary:
        raw = Path(temporary) / "raw"
        raw.mkdir()
        write_zip(raw / "images.zip", _copies(options.archive, options.copies))
        (raw / "source.json").write_text(json.dumps({"source": params.data.source}))
        with open_archive(raw / "images.zip") as archive:
            total = len(archive)
            contents = [archive.read(name) for name in archive.names[: min(total, 2000)]]
        began, used = time.perf_counter(), time.process_time()
        for content in contents:
            decode(content)
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        print(f"decode, 1 process: {len(contents) / wall:.0f}/s ({len(contents) / cpu:.0f} a CPU second)")
        for workers in options.workers:
            began, used = time.perf_counter(), sum(os.times()[:4])
            stage.prepare(raw, Path(temporary) / f"real{workers}", params, workers=workers)
            wall, cpu = time.perf_counter() - began, sum(os.times()[:4]) - used
            print(f"prepare, {workers} process(es): {total / wall:.0f}/s ({total / cpu:.0f} a CPU second)")
    own, children = (
        resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"{total} photographs, peak memory {own} MiB, of the largest worker {children} MiB")
    print(f"load average at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
