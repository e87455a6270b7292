"""What is told apart by a hash: the code that a module is made of, and random streams by their names."""

from __future__ import annotations

import ast
import hashlib
import sys
from functools import cache
from pathlib import Path

import numpy as np

PACKAGE = __name__.split(".")[0]
ROOT = Path(__file__).parents[1]


@cache
def _imported(path: Path) -> frozenset[str]:
    """Dotted names from this package that a file imports, inside functions, too; some are no modules."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] == PACKAGE)


def _file(name: str) -> Path | None:
    """Of a module, found without importing anything; None for an attribute of one."""
    if name in sys.modules:
        return Path(str(sys.modules[name].__file__))
    base = ROOT.joinpath(*name.split(".")[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def source_files(module: str) -> dict[str, Path]:
    """Files of ``module`` and of every module of this package that it imports, directly or not, by name."""
    found: dict[str, Path] = {}
    queue = [module]
    while queue:
        name = queue.pop()
        if name not in found and (path := _file(name)):
            found[name] = path
            queue += _imported(path)
    return dict(sorted(found.items()))


@cache
def code_hash(module: str) -> str:
    """SHA-256 over :func:`source_files`, read once a process: while it stays the same, so does the module."""
    digest = hashlib.sha256()
    for name, path in source_files(module).items():
        digest.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def random_stream(*key: str | int | bytes) -> np.random.Generator:
    """A generator that depends on ``key`` alone.

    NumPy's own seeding takes lists of numbers and ignores zeros at their end: ``[seed, 1, 5]`` of one use and
    ``[seed, 1, 5, 0]`` of another are one stream. Here a hash of the whole key is the seed.

    Args:
        key: what the stream is for, then what its draws depend on: ``"batches", seed, group, lap``.
    """
    parts = [part if isinstance(part, (str, bytes)) else int(part) for part in key]
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:16], "little"))
