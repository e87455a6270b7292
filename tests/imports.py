"""Which source files a script really imports, read from the syntax tree (nothing is run).

python tests/imports.py dvc.yaml    # brings the lists of src/ files in dvc.yaml up to date
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"


def _module_file(name: str) -> Path | None:
    base = SRC.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imported_names(path: Path) -> set[str]:
    """Dotted names of every import in a file, those inside functions included, with their parents."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.split(".")[0] == "fakeface"}
    return {".".join(name.split(".")[: i + 1]) for name in ours for i in range(len(name.split(".")))}


def _is_only_a_docstring(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def source_files(script: Path) -> set[str]:
    """Paths below the repository root of all package files that ``script`` imports, directly or not."""
    seen: set[Path] = set()
    queue = [script]
    while queue:
        for name in _imported_names(queue.pop()):
            file = _module_file(name)
            if file and file not in seen:
                seen.add(file)
                queue.append(file)
    return {file.relative_to(SRC.parent).as_posix() for file in seen if not _is_only_a_docstring(file)}


def with_current_sources(dvc_yaml: str) -> str:
    """The text of a dvc.yaml with each stage's list of ``src/`` files replaced by what its script imports."""
    lines, script = [], ""
    for line in dvc_yaml.splitlines():
        if match := re.fullmatch(r"( +)- (pipeline/\w+\.py)", line):
            script = match[2]
            lines += [line, *(f"{match[1]}- {file}" for file in sorted(source_files(SRC.parent / script)))]
        elif not re.fullmatch(r" +- src/.*", line):
            lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    for argument in sys.argv[1:]:
        path = Path(argument)
        path.write_text(with_current_sources(path.read_text(encoding="utf-8")), encoding="utf-8")
