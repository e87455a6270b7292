"""Code dependencies of every stage, read from the source that its script can reach:

python tools/stage_deps.py            # bring dvc.yaml and zoo/dvc.yaml up to date
python tools/stage_deps.py --check    # only say what is not

After its script, a stage lists the modules that hold a function, class or constant which the script uses,
directly or through others; a package is one folder where all of its modules are among them, or where it is
one of ``AS_ONE``. Infrastructure does not count: tests pin what it does, values of params stand under
``params:``, and a change there would rerun everything. Types in annotations do not count either. Nothing is
run. Lists of deps and params are written in brackets, to be short; comments and all other lines stay as they
are.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
PIPELINES = ("dvc.yaml", "zoo/dvc.yaml")

WIDTH = 110
LISTS = re.compile(
    r"^(?P<indent> +)(?P<key>deps|params):"
    r"(?: (?P<flow>\[[^\]]*\])|\n(?P<block>(?:(?P=indent) +(?:- [^:\n]*|#.*)\n)+))\n?",
    re.MULTILINE,
)

# Modules and packages whose change reruns nothing.
INFRASTRUCTURE = (
    "fakeface.base",
    "fakeface.params",
    "fakeface.data.archives",
    "fakeface.data.image_sets",
    "fakeface.data.workers",
    "fakeface.models.weights",
)
# Listed whole as soon as a stage uses a part: their modules change together, and dvc.lock, which DVC reads at
# every call, stays short.
AS_ONE = ("fakeface.detector", "fakeface.models")
# The frozen network decides what every stage computes that uses it.
NOT_INFRASTRUCTURE = ("fakeface.base.lite0",)
# A generator's training takes hours: what only measures it afterwards is no reason to repeat it.
ONLY_MEASURE = {
    "pipeline/train_gan.py": (
        "fakeface.base.lite0",
        "fakeface.gans.loaders",
        "fakeface.metrics",
        "fakeface.zoo.card",
    )
}


def _file(module: str) -> Path | None:
    base = SRC.joinpath(*module.split("."))
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def _within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


class _Names(ast.NodeVisitor):
    """Names that a piece of source uses, dotted where it reads attributes; no types of annotations."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.imported: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> None:
        self.used.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = ast.unparse(node)
        if re.fullmatch(r"[\w.]+", dotted):
            self.used.add(dotted)
        else:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        pass

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for child in (*node.decorator_list, node.args, *node.body):
            self.visit(child)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imported[alias.asname or alias.name] = alias.name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"


class Module:
    """The top level of a source file: what each name is bound to, and what runs on import."""

    def __init__(self, file: Path) -> None:
        self.bound: dict[str, list[ast.stmt]] = {}
        self.run: list[ast.stmt] = []
        self.imported: dict[str, str] = {}
        for statement in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self._imports(statement)
                continue
            names = list(_bound_by(statement))
            for name in names:
                self.bound.setdefault(name, []).append(statement)
            if isinstance(statement, ast.If):
                self._imports(statement)
            if not names and not isinstance(getattr(statement, "value", None), ast.Constant):
                self.run.append(statement)

    def _imports(self, statement: ast.stmt) -> None:
        names = _Names()
        names.visit(statement)
        self.imported |= names.imported


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))


@cache
def _module(name: str) -> Module:
    file = _file(name)
    if file is None:
        raise KeyError(name)
    return Module(file)


def _split(dotted: str) -> tuple[str, str]:
    """``fakeface.a.b.name.attribute`` as ``fakeface.a.b`` and ``name``, which is "" for the module."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        if _file(module := ".".join(parts[:end])):
            return module, parts[end] if end < len(parts) else ""
    raise KeyError(dotted)


class _Reach:
    """What can be reached from a script: pairs of a module and one of its names."""

    def __init__(self, script: Path) -> None:
        self.seen: set[tuple[str, str]] = set()
        self._walked: set[int] = set()
        top = Module(script)
        for statement in [*top.run, *(s for statements in top.bound.values() for s in statements)]:
            self._use(statement, top)

    def _use(self, node: ast.AST, within: Module) -> None:
        names = _Names()
        names.visit(node)
        imported = within.imported | names.imported
        for used in names.used:
            first, _, rest = used.partition(".")
            if first in imported:
                self._follow(f"{imported[first]}.{rest}" if rest else imported[first])
            for statement in within.bound.get(first, []):
                if id(statement) not in self._walked:
                    self._walked.add(id(statement))
                    self._use(statement, within)

    def _follow(self, dotted: str) -> None:
        if not dotted.startswith("fakeface."):
            return
        module, name = _split(dotted)
        if (module, name) in self.seen:
            return
        self.seen.add((module, name))
        content = _module(module)
        statements = list(content.run)
        if name in content.bound:
            statements += content.bound[name]
        elif name in content.imported:
            self._follow(content.imported[name])
        else:
            statements += [s for found in content.bound.values() for s in found]
        for statement in statements:
            self._use(statement, content)


def reached(script: Path) -> set[str]:
    """Modules that decide what ``script`` does."""
    modules = {module for module, _ in _Reach(script).seen} - {"fakeface"}
    modules -= {module for module in modules if _within(module, INFRASTRUCTURE)} - {*NOT_INFRASTRUCTURE}
    only_measure = ONLY_MEASURE.get(script.resolve().relative_to(ROOT).as_posix(), ())
    return {module for module in modules if not _within(module, only_measure)}


def _all_modules(package: str) -> set[str]:
    """Modules of a package and its packages, but for an ``__init__`` that only says what lives there."""
    folder = SRC.joinpath(*package.split("."))
    modules = set()
    for file in folder.rglob("*.py"):
        name = ".".join(file.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
        content = _module(name)
        if content.bound or content.run or content.imported:
            modules.add(name)
    return modules


def code_deps(script: Path) -> list[str]:
    """Paths from the root of the repository: folders of whole packages, and modules."""
    modules = reached(script)
    parents = {name[:i] for name in modules for i, letter in enumerate(name) if letter == "."}
    whole = {name for name in parents - {"fakeface"} if name in AS_ONE or _all_modules(name) <= modules}
    paths = set()
    for name in modules | whole:
        if not any(name.startswith(f"{package}.") for package in whole):
            path = SRC.joinpath(*name.split(".")) if name in whole else _file(name)
            paths.add(path.relative_to(ROOT).as_posix())  # type: ignore[union-attr]
    return sorted(paths)


def _items(block: str) -> tuple[list[str], list[str]]:
    """Entries of a YAML list in either style, and the lines of comments among them."""
    lines = block.strip().removeprefix("[").removesuffix("]").splitlines()
    comments = [line for line in lines if line.strip().startswith("#")]
    entries = [
        re.sub(r"\s+#.*", "", line).strip().removeprefix("- ") for line in lines if line not in comments
    ]
    # No entry holds a comma: a path, or a key of params.yaml.
    return [
        entry.strip().strip("\"'") for line in entries for entry in line.split(",") if entry.strip()
    ], comments


def _in_brackets(key: str, indent: str, groups: list[list[str]]) -> str:
    """``key: [...]``; each group begins on a line of its own where one line does not hold them all."""
    quoted = [[f'"{item}"' if set(item) & set("{}*#:") else item for item in group] for group in groups]
    one = f"{indent}{key}: [{', '.join(item for group in quoted for item in group)}]"
    if len(one) <= WIDTH:
        return one
    lines = [f"{indent}{key}: ["]
    for group in quoted:
        lines += textwrap.wrap(
            ", ".join(group) + ",",
            WIDTH,
            initial_indent=f"{indent}  ",
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join([*lines, f"{indent}]"])


def updated(text: str, folder: Path) -> str:
    """The text of ``folder/dvc.yaml`` with the code deps of each stage as they should be."""
    prefix = os.path.relpath(ROOT, folder) + "/" if folder != ROOT else ""

    def rewritten(match: re.Match[str]) -> str:
        indent, key = match["indent"], match["key"]
        items, comments = _items(match["flow"] or match["block"])
        groups = [items]
        if key == "deps":
            scripts = [item for item in items if re.fullmatch(rf"{re.escape(prefix)}pipeline/\w+\.py", item)]
            code = [prefix + path for script in scripts for path in code_deps(folder / script)]
            data = [item for item in items if item not in scripts and not item.startswith(f"{prefix}src/")]
            groups = [group for group in (data, scripts + code) if group]
        return (
            "\n".join([*(indent + line.strip() for line in comments), _in_brackets(key, indent, groups)])
            + "\n"
        )

    result = LISTS.sub(rewritten, text)
    if _without_code(result, prefix) != _without_code(text, prefix):
        raise ValueError(
            f"{folder / 'dvc.yaml'}: a list of deps or params is written in a way not known here"
        )
    return result


def _without_code(text: str, prefix: str) -> dict[str, Any]:
    stages: dict[str, Any] = yaml.safe_load(text)["stages"]
    for stage in stages.values():
        inner = stage.get("do", stage)
        deps = (dep for dep in inner.get("deps", []) if not dep.startswith(f"{prefix}src/"))
        inner["deps"] = sorted(deps)
    return stages


def bring_up_to_date(
    description: str | None, paths: Iterable[Path], updated: Callable[[str, Path], str], what: str
) -> None:
    """The command line of a tool that writes a part of some files, or with ``--check`` says which are stale.

    Args:
        description: of the tool.
        paths: of the files.
        updated: from a file's text and path to what the text should be.
        what: of a file is brought up to date, for people.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where one is not current")
    check = parser.parse_args().check
    stale = []
    for path in paths:
        before = path.read_text(encoding="utf-8")
        after = updated(before, path)
        if after != before:
            stale.append(path.relative_to(ROOT).as_posix())
            if not check:
                path.write_text(after, encoding="utf-8")
    if check and stale:
        sys.exit(f"{', '.join(stale)}: {what} not current; run: python {Path(sys.argv[0])}")
    print("changed:" if stale else "current", *stale)


def main() -> None:
    for name in (*INFRASTRUCTURE, *NOT_INFRASTRUCTURE):
        if _file(name) is None:
            sys.exit(f"tools/stage_deps.py: INFRASTRUCTURE names {name}, which does not exist")
    paths = [ROOT / name for name in PIPELINES]
    bring_up_to_date(__doc__, paths, lambda text, path: updated(text, path.parent), "code deps are")


if __name__ == "__main__":
    main()
