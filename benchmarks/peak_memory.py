"""Wall time and peak memory of a command on Linux: python benchmarks/peak_memory.py dvc repro evaluate

Memory is the proportional set size, summed over the command and all its descendants: pages that processes
share count once. It is read every 0.3 s, so a shorter peak can be missed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

INTERVAL_SECONDS = 0.3


def descendants(pid: int) -> set[int]:
    """``pid`` and every process below it; those that have ended meanwhile are left out."""
    found = {pid}
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = children.read_text().split()
        except OSError:
            continue
        for child in below:
            found |= descendants(int(child))
    return found


def memory(pid: int, kind: str = "Pss") -> int:
    """Proportional set size in KiB, 0 for a process that has ended; ``Pss_Anon``: without files' pages."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))


def main() -> int:
    """Run the command and print what it took; its exit code is returned."""
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen(sys.argv[1:])
    while process.poll() is None:
        peak = max(peak, sum(memory(pid) for pid in descendants(process.pid)))
        time.sleep(INTERVAL_SECONDS)
    print(f"{time.perf_counter() - began:.1f} s, at most {peak / 2**20:.2f} GiB")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
