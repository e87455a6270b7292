"""The map of the stages, from dvc.yaml, between two marks in Markdown files:

python tools/stage_map.py             # bring README.md and the files in docs/ up to date
python tools/stage_map.py --check     # only say which are not

    <!-- stages: tools/stage_map.py -->
    <!-- end of stages -->
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from stage_deps import bring_up_to_date

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- stages: tools/stage_map.py -->", "<!-- end of stages -->"


def _paths(entries: list[Any]) -> list[str]:
    """Paths of deps or outs, templates cut off: ``data/fake/${key}`` is made under ``data/fake``."""
    names = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    return [re.sub(r"/?[^/]*\$\{.*", "", name) for name in names]


def stage_map(dvc_yaml: str) -> str:
    """A Markdown table with a row for each stage, in the order of the file."""
    content = yaml.safe_load(dvc_yaml)["stages"]
    stages = {name: stage.get("do", stage) for name, stage in content.items()}
    made = {
        path: name
        for name, stage in stages.items()
        for path in _paths([*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])])
        if path
    }
    rows = ["| stage | what it does | follows |", "|---|---|---|"]
    for name, stage in stages.items():
        needed = [dep for dep in _paths(stage["deps"]) if dep]
        follows = [
            made[path]
            for path in made
            if any(path == dep or path.startswith(f"{dep}/") or dep.startswith(f"{path}/") for dep in needed)
        ]
        each = content[name].get("foreach", "")
        shown = f"`{name}`" if not each else f"`{name}@…`"
        rows.append(
            f"| {shown} | {stage['desc']} | {', '.join(f'`{other}`' for other in dict.fromkeys(follows))} |"
        )
    return "\n".join(rows)


def updated(text: str, dvc_yaml: str) -> str:
    """``text`` with the map of ``dvc_yaml`` between the marks, where it has them."""
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return between.sub(lambda _: f"{BEGIN}\n{stage_map(dvc_yaml)}\n{END}", text)


def main() -> None:
    dvc_yaml = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    bring_up_to_date(__doc__, paths, lambda text, _: updated(text, dvc_yaml), "the map of stages is")


if __name__ == "__main__":
    main()
