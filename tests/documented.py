"""Every command that README and docs show, and what runs it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]


def blocks(page: Path, language: str) -> list[str]:
    """Its blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def shell_commands(page: Path) -> list[str]:
    """Lines of its ```sh blocks, without comments."""
    lines = [
        re.sub(r"\s+#.*", "", line).strip() for block in blocks(page, "sh") for line in block.splitlines()
    ]
    return [line for line in lines if line]


# Run by tests/test_pipeline.py in a small clone, in this order, with pictures of the names that they use.
IN_A_SMALL_CLONE = [
    "dvc repro",
    "dvc repro evaluate",
    "dvc repro compare",
    "dvc metrics show metrics/evaluation.json",
    "dvc metrics show reports/curation.json",
    "python -m fakeface.reporting.tables results",
    "python -m fakeface.reporting.tables readme README.md",
    "python -m fakeface.reporting.studies table losses",
    "python -m fakeface.reporting.studies table curation",
    "dvc plots show",
    "dvc repro bundle",
    "dvc repro external bundle",
    "dvc repro report",
    "fakeface predict picture.jpg folder_of_pictures",
    "fakeface predict picture.jpg",
    "fakeface predict --json picture.jpg",
    "fakeface predict --explain heatmaps picture.jpg",
    "fakeface score folder_of_pictures --out scores.parquet",
    "fakeface export --out detector.onnx",
    "python -m fakeface.regression --base main",
    "dvc config --local cache.type hardlink,copy",
    "dvc exp run -S margin=0.7 evaluate",
    "dvc metrics diff",
    "dvc metrics diff --all --targets metrics/evaluation.json",
    "dvc params diff",
    "dvc plots diff",
    "dvc exp run --queue -S margin=0.25,0.5,1.0,2.0 evaluate",
    "dvc queue start",
    "dvc queue status",
    "dvc exp show --only-changed",
    "torchrun --nproc_per_node=2 pipeline/train_cffn.py",
    "dvc commit --force train_cffn",
    "dvc exp show --md --drop '.*' --keep 'Experiment|margin|(laundered|mild|clean).unseen.auroc' --sort-by margin",
]
# Run there, too, from the committed params and with an addition that makes it short.
SHORTENED = {
    "python -m fakeface.reporting.studies queue losses": "margin-1.0",
    "python -m fakeface.reporting.studies queue curation": "random-seed-0",
    "dvc exp run -n initial -S 'held_out=[lsgan,wgan_gp,pggan,sngan,stylegan2,digiface_dcgan]' evaluate": "--queue",
    "dvc exp run -S device=cuda -S precision=bf16 evaluate": "--queue",
    "dvc exp run -S devices=auto evaluate": "--queue",
    "git restore params.yaml dvc.lock metrics reports plots && dvc checkout": "",
}
# Run there, too, up to an earlier stage than `evaluate`, and shorter.
UP_TO = {
    "dvc exp run -S curation.method=realism -S curation.keep=0.5 evaluate": "collect",
    "dvc exp run -S cffn.variant=paper -S margin=0.5 -S cffn.crop=null -S cffn.pseudo_fakes=0 -S cffn.corrupted=0 "
    "-S cn.score_offset=none -S cffn.epochs=12 evaluate": "train_cn -S cffn.epochs=1",
}
# Run there, too, where nothing is to be had yet; what it says then.
NOTHING_YET = {
    "python -m fakeface.reporting.studies collect losses": "no finished experiment is called study-losses-",
    "python -m fakeface.reporting.studies collect curation": "no finished experiment is called study-curation-",
}
# Run there, too: folds by two workers of the queue.
FOLDS = [
    "dvc stage list --name-only | grep -E '^(leave_one|baselines)' | xargs -n 1 dvc exp run --queue",
    "CUDA_VISIBLE_DEVICES=0 dvc queue start --jobs 1",
    "CUDA_VISIBLE_DEVICES=1 dvc queue start --jobs 2",
]
# A profile takes the place of the small params; what would run is listed, nothing runs.
PROFILES = {
    "python -m fakeface.params use celeba": "dvc repro",
    "python -m fakeface.params use celeba && dvc repro": "true",
    "python -m fakeface.params use celeba-10k data.root=celeba_10k.zip": "dvc repro",
    "python -m fakeface.params use portraits data.root=photographs.zip gans.stylegan.weights=stylegan.zip": "dvc repro external",
    "python -m fakeface.params use portraits data.root=photographs.zip gans.stylegan.weights=stylegan.zip "
    "'external.snapshots={path: snapshots.zip, kind: real}'": "dvc repro external",
    "python -m fakeface.params use portraits data.root=photographs.zip gans.stylegan.weights=stylegan.zip "
    "'gans.unseen={loader: folder, weights: unseen.zip, architecture: stylegan2, upsampler: bilinear, test_only: true}' "
    "'held_out=[unseen]' 'leave_one_out={never_train: [unseen], folds: [unseen], seeds: 3, baseline_seeds: 3, "
    "cffn_steps: null, cn_views: 4, train_images: null, test_images: null, compared: [paper, cross_entropy, "
    "supervised_contrastive, random_pairs, own_pairs, dct, spectrum, lite0]}'": "dvc repro compare",
}
# One shell runs them all, on the small clone's photographs and for a few seconds.
ZOO = [
    "cp -r zoo myzoo && cd myzoo",
    "python ../pipeline/zoo_prepare.py",
    "cd .. && python pipeline/train_gan.py --gan dcgan --params myzoo/params.yaml --images myzoo/data/real/train "
    "--out trained",
]
# Run elsewhere: the file that does it, and the words in it that show it.
ELSEWHERE = {
    "python -m fakeface.params use portraits 'repositories.photographs={repo: https://example.org/faces.git, rev: v1, path: faces/real}' "
    "'repositories.stylegan={repo: https://example.org/faces.git, rev: v1, path: faces/stylegan.zip}' data.root=data/fetched/photographs.zip gans.stylegan.weights=data/fetched/stylegan.zip": (
        "tests/data/test_repositories.py",
        'if "repositories." in command',
    ),
    "python3 -m venv .venv && . .venv/bin/activate && pip install -c requirements.lock -e . && dvc repro evaluate": (
        ".ci/run",
        "dvc repro evaluate",
    ),
    "python3 -m venv .venv && . .venv/bin/activate && pip install -c requirements.lock -e '.[dev]' && pytest": (
        ".ci/run",
        "python -m pytest",
    ),
    "pip install -e '.[demo]'": ("pyproject.toml", "fakeface[demo,diffusers,docs,ray,score]"),
    "pip install -e '.[score]'": ("pyproject.toml", "fakeface[demo,diffusers,docs,ray,score]"),
    "pip install -e '.[ray]'": ("pyproject.toml", "fakeface[demo,diffusers,docs,ray,score]"),
    "fakeface score folder_of_pictures --out scores_of_ray.parquet --engine ray --workers 2": (
        "tests/apps/test_score.py",
        '@pytest.mark.parametrize("engine", ["local", "ray"])',
    ),
    "fakeface benchmark --real photographs --fake fakes": ("tests/apps/test_benchmark.py", '["benchmark", '),
    "fakeface demo": ("tests/apps/demo/test_page.py", "fakeface.apps.cli"),
    "python benchmarks/suite.py": ("tests/test_benchmarks.py", "suite.py"),
    "python benchmarks/large_pictures.py --real photographs.zip --fake fakes.zip": (
        "tests/test_benchmarks.py",
        "large_pictures.py",
    ),
}
