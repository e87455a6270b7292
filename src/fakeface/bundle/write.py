"""Writing a detector as one folder, with its model card.

python -m fakeface.bundle.write models/detector models/detectors/portraits --external reports/external.json
"""

from __future__ import annotations

import argparse
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fakeface import __version__
from fakeface.base.downloads import sha256_of
from fakeface.base.errors import one_line_errors
from fakeface.base.files import atomic_directory, write_json, write_text
from fakeface.base.markdown import markdown_table, number
from fakeface.bundle.bundle import (
    ATTRIBUTION_FILE,
    CARD_FILE,
    CFFN_FILE,
    CN_FILE,
    FACES_FILE,
    MANIFEST_FILE,
    Attribution,
    BundleError,
    Decision,
    Manifest,
    Preprocessing,
    Training,
    check_files,
    read_manifest,
)
from fakeface.data.faces import FRAMINGS
from fakeface.data.faces import LICENCE as FACES_LICENCE
from fakeface.detector.attribution_head import load_head
from fakeface.detector.decision import load_rule
from fakeface.params import PROTOCOLS, Params

# The model card of a bundle: what it is for, what it was trained on, how well it does and where it fails.

_PROTOCOLS = {"laundered": "rescaled and compressed", "mild": "JPEG 75-95", "clean": "as prepared"}


def model_card(manifest: Manifest) -> str:
    """Markdown; every figure comes from the manifest."""
    return (
        "\n\n".join(
            [
                "# A fakeface detector",
                _purpose(),
                "## Training",
                _about_training(manifest),
                "## Results",
                _results(manifest),
                *(["## Pictures of other people", _external(manifest.external)] if manifest.external else []),
                "## Naming the GAN",
                _naming(manifest),
                "## Where it fails",
                _failures(manifest),
                "## Use",
                f"```sh\nfakeface predict --detector <this folder> picture.jpg\n```\n\n{_decision(manifest)}",
                "## Terms",
                manifest.licence,
            ]
        )
        + "\n"
    )


def _purpose() -> str:
    return (
        "Judges whether the photograph of a face was made by a GAN. Meant for research on detectors and as "
        "one hint among others for an analyst. Not meant, and not good enough, to accuse or to clear "
        "anybody: a score is no proof. It knows whole faces made by GANs, not swapped or edited faces, nor "
        "pictures of diffusion models."
    )


def _about_training(manifest: Manifest) -> str:
    training = manifest.training
    gans = ", ".join(f"{gan} ({count})" for gan, count in training.n_fakes.items())
    return (
        f"{training.n_photographs} photographs of `{training.source}`; fakes of {gans}. Never seen in "
        f"training, validation or threshold: {', '.join(training.held_out) or 'no GAN'}. Images of "
        f"{manifest.preprocessing.image_size} pixels a side. Network `{training.params['cffn']['variant']}`, "
        f"loss `{training.params['cffn']['loss']}`, margin {training.params['margin']}, seed "
        f"{training.params['seed']}. List of training images: sha256 `{training.fingerprint}`."
    )


def _results(manifest: Manifest) -> str:
    def cells(block: dict[str, Any]) -> list[str]:
        return [number(block["auroc"], block.get("auroc_ci95")), number(block["recall"])]

    header = ["fakes of", "in training"]
    for protocol in manifest.metrics:
        header += [f"{protocol}: AUROC [95 %]", f"{protocol}: recall"]
    first = next(iter(manifest.metrics.values()))
    rows = []
    for gan in first["per_gan"]:
        status = "seen" if gan in manifest.training.n_fakes else "unseen"
        figures = [cells(blocks["per_gan"][gan]) for blocks in manifest.metrics.values()]
        rows.append([gan, status, *(cell for pair in figures for cell in pair)])
    said = ", ".join(f"*{name}*: {_PROTOCOLS[name]}" for name in manifest.metrics if name in _PROTOCOLS)
    alarms = ", ".join(f"{number(blocks['seen']['fpr'])} {name}" for name, blocks in manifest.metrics.items())
    n_real = first["seen"]["n_real"]
    return (
        f"{markdown_table(header, rows)}\n\nTest images, the same chain on photographs and fakes. {said}. "
        f"Photographs called fake, of {n_real}: {alarms}."
    )


def external_tables(block: dict[str, Any]) -> str:
    """Markdown tables of one protocol of reports/external.json: photographs, then any fakes against them."""
    photographs = markdown_table(
        ["photographs", "number", "called fake [95 %]"],
        [
            [name, str(found["n"]), number(found["fpr"], found.get("fpr_ci95"))]
            for name, found in block["real"].items()
        ],
    )
    if not block["fake"]:
        return photographs
    fakes = markdown_table(
        ["fakes", "number", "found [95 %]", *(f"AUROC against {name}" for name in block["real"])],
        [
            [name, str(found["n"]), number(found["recall"], found.get("recall_ci95"))]
            + [number(pair["auroc"], pair.get("auroc_ci95")) for pair in found["against"].values()]
            for name, found in block["fake"].items()
        ],
    )
    return f"{photographs}\n\n{fakes}"


def _external(external: dict[str, Any]) -> str:
    """Sets on which nothing trained, laundered."""
    return (
        f"Rescaled and compressed ({PROTOCOLS[0]}), at the frozen threshold; nothing trained on them, `test` "
        f"is the test split.\n\n{external_tables(external[PROTOCOLS[0]])}"
    )


def _naming(manifest: Manifest) -> str:
    attribution = manifest.attribution
    if not attribution.gans:
        return "It names no GAN: it learnt from fewer than two."
    right = ", ".join(f"{number(value)} {name}" for name, value in attribution.accuracy.items())
    unknown = ", ".join(f"{number(value)} {name}" for name, value in attribution.open_set.items())
    return (
        f"A fake may be said to resemble those of {', '.join(attribution.gans)}. Share of test images of "
        f"these that are named rightly: {right}. Fakes of a GAN that is not among them against those "
        f"of GANs that are, AUROC, mean over GANs left out: {unknown}. A name is that of one of these "
        "generators: it says which traces a picture has, not which program made it."
    )


def _failures(manifest: Manifest) -> str:
    lines = []
    for name, blocks in manifest.metrics.items():
        gan, block = min(blocks["per_gan"].items(), key=lambda item: item[1]["recall"])
        lines.append(f"- {name}: of `{gan}` it finds {number(block['recall'])}, the least of all.")
    lines += [
        _calibration(manifest),
        "- Photographs scaled by dropping pixels, enlarged or taken from screens did not train it.",
        "- Faces turned far aside, covered or smaller than "
        f"{manifest.preprocessing.image_size} pixels are not found or not judged.",
    ]
    return "\n".join(lines)


def _calibration(manifest: Manifest) -> str:
    """What is known of scores as probabilities, for generators that training never saw."""
    text = "- Scores of generators that it was not trained on are not calibrated"
    measured = {name: blocks["unseen"].get("ece") for name, blocks in manifest.metrics.items()}
    if manifest.external is not None and None in measured.values():
        fakes = manifest.external[PROTOCOLS[0]]["fake"]
        # Bundles of before have none.
        measured = {name: block["against"]["test"].get("ece") for name, block in fakes.items()}
    known = [f"{number(value)} {name}" for name, value in measured.items() if value is not None]
    return f"{text}: the expected calibration error is {', '.join(known)}." if known else f"{text}."


def _decision(manifest: Manifest) -> str:
    decision = manifest.decision
    text = f"*Fake* is a score above {decision.threshold:.4f}, "
    if decision.lower_threshold < decision.threshold:
        text += f"*real* one below {decision.lower_threshold:.4f}, *unsure* what lies between"
    else:
        text += "*real* any other, *unsure* nothing by its score"
    return (
        f"{text}. A picture is unsure, too, if a compressed or a reduced copy of it is judged the opposite."
    )


# Make a bundle of what the pipeline trained and measured.

LICENCE = (
    "CelebA and FFHQ are for non-commercial use, CelebA for research only, and so are networks that learnt "
    "from them. Frozen layers: "
    f"EfficientNet-Lite0, Apache-2.0. Face detector: {FACES_LICENCE}."
)
# Of each block of reports/evaluation.json.
FIGURES = ("n_real", "n_fake", "auroc", "auroc_ci95", "precision", "recall", "fpr", "ece")


def write_bundle(
    params: Params,
    cffn: Path,
    cn: Path,
    attribution: Path,
    faces: Path,
    training_table: Path,
    evaluation: Path,
    attribution_metrics: Path,
    out: Path,
) -> Manifest:
    """Put everything that judging a picture takes into the folder ``out``, whole or not at all.

    Args:
        params: that the networks were trained with.
        cffn, cn, attribution: weight files.
        faces: ONNX file of the face detector.
        training_table: data/training.csv.
        evaluation: reports/evaluation.json.
        attribution_metrics: reports/attribution.json.
        out: the bundle's folder.

    Returns:
        What its detector.json says.

    Raises:
        DetectorWeightsError: if a weights file is absent or damaged.
        BundleError: if the figures were measured at another threshold than the CN's.
    """
    # Imported here, for it brings PyTorch: the tables of the documentation take functions from this module.
    from fakeface.models.weights import load_cffn

    _, image_size = load_cffn(cffn)
    rule = load_rule(cn)
    figures = json.loads(evaluation.read_text(encoding="utf-8"))
    if figures["threshold"] != rule.threshold:
        raise BundleError(
            f"{evaluation}: measured at threshold {figures['threshold']}, but {cn} has {rule.threshold}; "
            "dvc repro evaluate"
        )
    framing = FRAMINGS[params.data.framing]
    with atomic_directory(out) as folder:
        files = {CFFN_FILE: cffn, CN_FILE: cn, ATTRIBUTION_FILE: attribution, FACES_FILE: faces}
        for name, source in files.items():
            shutil.copyfile(source, folder / name)
        manifest = Manifest(
            fakeface_version=__version__,
            torch_version=version("torch").split("+")[0],
            precision=params.precision,
            files={name: sha256_of(folder / name) for name in files},
            preprocessing=Preprocessing(
                image_size=image_size,
                alignment_size=(framing.width, framing.height),
                alignment_landmarks=tuple((float(x), float(y)) for x, y in framing.landmarks),
            ),
            decision=Decision(**rule.numbers()),
            training=_training(params, training_table),
            attribution=_attribution(attribution, attribution_metrics),
            metrics={protocol: _summary(figures[protocol]) for protocol in PROTOCOLS},
            licence=LICENCE,
        )
        write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
        write_text(folder / CARD_FILE, model_card(manifest))
    return manifest


def release(bundle: str | Path, out: str | Path, external: str | Path | None = None) -> Manifest:
    """A bundle as it is kept in git: small, because the face detector comes from its wheel.

    Args:
        bundle: folder as :func:`write_bundle` made it.
        out: folder to write, whole or not at all.
        external: reports/external.json, whose figures the card then shows.

    Raises:
        BundleError: if ``bundle`` is none, damaged, or ``external`` was measured at another threshold.
    """
    bundle, manifest = Path(bundle), read_manifest(bundle)
    check_files(bundle, manifest)
    figures = None
    if external is not None:
        content = json.loads(Path(external).read_text(encoding="utf-8"))
        if content["threshold"] != manifest.decision.threshold:
            raise BundleError(
                f"{external}: measured at threshold {content['threshold']}, but {bundle} has "
                f"{manifest.decision.threshold}; dvc repro external"
            )
        figures = {protocol: content[protocol] for protocol in PROTOCOLS}
    files = {name: digest for name, digest in manifest.files.items() if name != FACES_FILE}
    manifest = manifest.model_copy(update={"files": files, "external": figures})
    with atomic_directory(Path(out)) as folder:
        for name in files:
            shutil.copyfile(bundle / name, folder / name)
        write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
        write_text(folder / CARD_FILE, model_card(manifest))
    return manifest


def _training(params: Params, table: Path) -> Training:
    # Imported here for the same reason as PyTorch above.
    import pandas as pd

    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    train = rows[rows["split"] == "train"]
    gans = train.loc[train["gan"] != "", "gan"].value_counts(sort=False)
    return Training(
        source=params.data.source,
        n_photographs=int((train["gan"] == "").sum()),
        n_fakes={str(gan): int(count) for gan, count in gans.items()},
        held_out=tuple(params.held_out),
        fingerprint=sha256_of(table),
        params={
            "seed": params.seed,
            "margin": params.margin,
            "protocols": params.protocols.model_dump(mode="json"),
            "cffn": params.cffn.model_dump(mode="json"),
            "cn": params.cn.model_dump(mode="json"),
        },
    )


def _attribution(weights: Path, metrics: Path) -> Attribution:
    figures = json.loads(metrics.read_text(encoding="utf-8"))
    if figures["features"] not in figures:
        return Attribution(gans=(), accuracy={}, open_set={})
    blocks = {protocol: figures[figures["features"]][protocol] for protocol in PROTOCOLS}
    return Attribution(
        gans=load_head(weights).gans,
        accuracy={protocol: block["accuracy"] for protocol, block in blocks.items()},
        open_set={protocol: block["open_set"]["mean"] for protocol, block in blocks.items()},
    )


def _summary(blocks: dict[str, Any]) -> dict[str, Any]:
    def few(block: dict[str, Any]) -> dict[str, Any]:
        return {name: block[name] for name in FIGURES if name in block}

    named = {name: few(blocks[name]) for name in ("seen", "unseen")}
    return {**named, "per_gan": {gan: few(block) for gan, block in blocks["per_gan"].items()}}


def main(arguments: list[str] | None = None) -> None:
    """Release a bundle into git."""
    parser = argparse.ArgumentParser(prog="python -m fakeface.bundle.write", description=release.__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--external", type=Path, help="reports/external.json")
    given = parser.parse_args(arguments)
    release(given.bundle, given.out, given.external)
    size = sum(path.stat().st_size for path in given.out.iterdir())
    print(f"{given.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    with one_line_errors():
        main()
