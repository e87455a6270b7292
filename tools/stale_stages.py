"""How many stages of dvc.yaml each of the last commits to src/ would have made stale, were it made today:

python tools/stale_stages.py [--commits 69] [--until REV]

A file that a commit changed is sought in today's tree by its lines, because modules were renamed and merged:
the module that holds most of them counts as changed. Stages that only follow a stale stage do not count.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
from collections import Counter
from pathlib import Path, PurePosixPath

import yaml

ROOT = Path(__file__).parents[1]


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def code_deps(dvc_yaml: str, params: dict[str, object]) -> dict[str, list[PurePosixPath]]:
    """Paths of code that each stage depends on, by the name of the stage, ``foreach`` unrolled."""
    stages: dict[str, list[PurePosixPath]] = {}
    for name, stage in yaml.safe_load(dvc_yaml)["stages"].items():
        deps = [PurePosixPath(dep) for dep in stage.get("do", stage)["deps"]]
        code = [dep for dep in deps if dep.parts[0] in ("src", "pipeline")]
        if "foreach" not in stage:
            stages[name] = code
            continue
        keys: object = params
        for part in stage["foreach"].strip("${}").split("."):
            keys = keys[part]  # type: ignore[index]
        stages |= {f"{name}@{key}": code for key in keys}  # type: ignore[attr-defined]
    return stages


def _lines(text: str) -> Counter[str]:
    return Counter(line for line in map(str.strip, text.splitlines()) if len(line) > 12)


def modules_changed(commit: str, tree: dict[str, Counter[str]]) -> set[str]:
    """Today's names of the modules that a commit changed or removed."""
    changed = set()
    for line in git(
        "diff-tree", "-r", "--no-commit-id", "--name-status", "--no-renames", commit
    ).splitlines():
        status, path = line.split("\t")
        if not path.startswith(("src/", "pipeline/")) or not path.endswith(".py"):
            continue
        before = _lines(git("show", f"{commit if status != 'D' else commit + '^'}:{path}"))
        shared = {name: (lines & before).total() for name, lines in tree.items()}
        best = max(shared, key=shared.__getitem__)
        if shared[best] >= 0.2 * before.total() > 0:
            changed.add(best)
    return changed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--commits", type=int, default=69)
    parser.add_argument("--until", default="HEAD")
    parser.add_argument("--verbose", action="store_true", help="a line a commit")
    arguments = parser.parse_args()

    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    stages = code_deps((ROOT / "dvc.yaml").read_text(encoding="utf-8"), params)
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("pipeline/*.py")]
    tree = {file.relative_to(ROOT).as_posix(): _lines(file.read_text(encoding="utf-8")) for file in files}

    counts = []
    for commit in git("log", "--format=%h", f"-n{arguments.commits}", arguments.until, "--", "src").split():
        changed = modules_changed(commit, tree)
        stale = [
            name
            for name, deps in stages.items()
            if any(PurePosixPath(module).is_relative_to(dep) for module in changed for dep in deps)
        ]
        counts.append(len(stale))
        if arguments.verbose:
            print(commit, len(stale), *sorted(changed))
    print(
        f"{len(stages)} stages, {len(counts)} commits: median {statistics.median(counts):g}, "
        f"mean {statistics.mean(counts):.1f} stages made stale"
    )


if __name__ == "__main__":
    main()
