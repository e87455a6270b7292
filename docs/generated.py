"""What the documentation takes from the code: commands, params, stages, modules."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import yaml

from fakeface.apps.cli import parser

ROOT = Path(__file__).parents[1]
# Modules that nobody imports: what the command line runs.
SKIPPED = ("cli", "__main__")


def write_all(docs: Path) -> None:
    """Write the pages below reference/; those of packages that are gone are removed."""
    pages = {"cli.md": cli(), "params.md": params(), "stages.md": stages(), "api.md": api()}
    for name, text in pages.items():
        _write(docs / "reference" / name, text)
    for page in (docs / "reference" / "api").glob("*.md"):
        if page.name not in modules():
            page.unlink()
    for name, text in modules().items():
        _write(docs / "reference" / "api" / name, text)


def _write(path: Path, text: str) -> None:
    """Only if it changes, so that Sphinx reads again what is new alone."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def cli() -> str:
    """Every command's own help."""
    top = parser()
    parts = ["# Commands", "What `--help` says.", _help("fakeface", top)]
    (action,) = [one for one in top._actions if isinstance(one, argparse._SubParsersAction)]
    for name, command in action.choices.items():
        parts += [f"## fakeface {name}", _help(f"fakeface {name}", command)]
    from fakeface.reporting.studies import __doc__ as studies

    parts += ["## python -m fakeface.reporting.studies", f"```text\n{(studies or '').strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _help(name: str, command: argparse.ArgumentParser) -> str:
    command.prog = name
    # As wide as a page, whatever the terminal of whoever builds it.
    command.formatter_class = _wide(command.formatter_class)
    return f"```text\n{command.format_help().strip()}\n```"


def _wide(kind: Any) -> Any:
    class Wide(kind):
        def __init__(self, prog: str) -> None:
            super().__init__(prog, width=88)

    return Wide


def params() -> str:
    """params.yaml as it stands: its comments say what each key means."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    return (
        "# params.yaml\n\nThe default, with the meaning of every key. A value out of range, an unknown key "
        "or one that is missing is named, all at once. `profiles/` holds what "
        "differs at other scales; `python -m fakeface.params use NAME` applies one.\n\n"
        f"```yaml\n{text}```\n"
    )


def stages() -> str:
    """dvc.yaml: what each stage does, reads and writes."""
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    parts = [
        "# Stages",
        "`dvc dag evaluate --collapse-foreach-matrix` draws what a stage needs. "
        "A change of a key reruns the stages that name it and those after.",
    ]
    for name, stage in content["stages"].items():
        body = stage.get("do", stage)
        shown = f"{name}@..." if "foreach" in stage else name
        written = [_path(one) for kind in ("outs", "metrics", "plots") for one in body.get(kind, [])]
        parts.append(f"## {shown}\n\n{body['desc']}.")
        for title, words in (("Params", body.get("params", [])), ("Writes", written)):
            if words:
                parts.append(f"{title}: " + ", ".join(f"`{_path(word)}`" for word in words) + ".")
    return "\n\n".join(parts) + "\n"


def _path(entry: Any) -> str:
    path = entry if isinstance(entry, str) else next(iter(entry))
    return re.sub(r"\$\{(key|item)\}", "...", str(path))


def packages() -> dict[str, list[str]]:
    """Modules by package, both as dotted names."""
    found: dict[str, list[str]] = {}
    source = ROOT / "src"
    for path in sorted((source / "fakeface").rglob("*.py")):
        if path.stem != "__init__" and path.stem not in SKIPPED:
            parts = path.relative_to(source).with_suffix("").parts
            found.setdefault(".".join(parts[:-1]), []).append(".".join(parts))
    return found


def api() -> str:
    """A list of the packages."""
    entries = "\n".join(f"api/{package}" for package in packages())
    return f"# Modules\n\nFrom the docstrings.\n\n```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n"


def modules() -> dict[str, str]:
    """A page a package, each of its modules with what is public in it."""
    pages = {}
    for package, names in packages().items():
        parts = [f"# {package}"]
        for name in names:
            parts.append(f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```")
        pages[f"{package}.md"] = "\n\n".join(parts) + "\n"
    return pages
