"""Notes which params a script of pipeline/ reads and which files it opens; see tests/declared.py.

Python imports a module of this name at every start, from PYTHONPATH. It does nothing but in such a script,
with FAKEFACE_RECORD set to a folder.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from pathlib import Path
from typing import Any


def record(folder: Path, command: str) -> None:
    """Write what this process reads to a file in ``folder`` when it ends."""
    from pydantic import BaseModel

    from fakeface import params as module

    keys: set[str] = set()
    files: set[str] = set()
    paths: dict[int, str] = {}
    by_class: dict[type, str] = {}
    kept: list[Any] = []
    load = module.load_params

    class Entries(dict[str, Any]):
        """``gans``: who takes one entry reads that one, who walks over them reads their names."""

        def __iter__(self) -> Any:
            keys.add("gans")
            return super().__iter__()

        def keys(self) -> Any:
            keys.add("gans")
            return super().keys()

        def items(self) -> Any:
            keys.add("gans")
            return super().items()

        def values(self) -> Any:
            keys.add("gans")
            return super().values()

    def place(section: BaseModel, path: str) -> None:
        paths[id(section)] = path
        by_class.setdefault(type(section), path)
        kept.append(section)
        for name, value in section.__dict__.items():
            entries = value.items() if isinstance(value, dict) else [(None, value)]
            for key, entry in entries:
                if isinstance(entry, BaseModel):
                    place(entry, ".".join(filter(None, (path, name, key))))

    def read(section: BaseModel, name: str) -> Any:
        value = object.__getattribute__(section, name)
        kind = type(section)
        if kind in by_class and name in kind.model_fields and not isinstance(value, BaseModel | Entries):
            keys.add(f"{paths.get(id(section), by_class[kind])}.{name}".removeprefix("."))
        return value

    def dump(section: BaseModel, *arguments: Any, **options: Any) -> Any:
        if type(section) in by_class and "include" not in options:
            keys.add(paths.get(id(section), by_class[type(section)]))
        return BaseModel.model_dump(section, *arguments, **options)

    def load_params(*arguments: Any, **options: Any) -> Any:
        loaded = load(*arguments, **options)
        place(loaded, "")
        loaded.__dict__["gans"] = Entries(loaded.gans)
        module._Section.__getattribute__ = read  # type: ignore[assignment]
        module._Section.model_dump = dump  # type: ignore[assignment]
        return loaded

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            files.add(os.path.relpath(arguments[0]))

    def write() -> None:
        # Neither code, which tools/stage_deps.py knows, nor hidden files, such as those written atomically.
        here = sorted(f for f in files if not f.startswith(("src/", "pipeline/")) and "/." not in f"/{f}")
        content = {"command": command, "params": sorted(keys), "files": here}
        (folder / f"{os.getpid()}.json").write_text(json.dumps(content))

    module.load_params = load_params
    sys.addaudithook(audit)
    atexit.register(write)


script = sys.orig_argv[1] if len(sys.orig_argv) > 1 else ""
if script.startswith("pipeline/") and "FAKEFACE_RECORD" in os.environ:
    record(Path(os.environ["FAKEFACE_RECORD"]), " ".join(["python", *sys.orig_argv[1:]]))
