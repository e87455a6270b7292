"""The model card of a bundle: what it is for, what it was trained on, how well it does and where it fails."""

from __future__ import annotations

from typing import Any

from fakeface.bundle.manifest import Manifest
from fakeface.evaluation.markdown import markdown_table, number

_PROTOCOLS = {"laundered": "rescaled and compressed", "mild": "JPEG 75-95", "clean": "as prepared"}


def model_card(manifest: Manifest) -> str:
    """Markdown; every figure comes from the manifest."""
    return (
        "\n\n".join(
            [
                "# A fakeface detector",
                _purpose(),
                "## Training",
                _training(manifest),
                "## Results",
                _results(manifest),
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


def _training(manifest: Manifest) -> str:
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


def _naming(manifest: Manifest) -> str:
    attribution = manifest.attribution
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
        "- Scores of GANs that it was not trained on are not calibrated: the expected calibration error is "
        + ", ".join(f"{number(blocks['unseen']['ece'])} {name}" for name, blocks in manifest.metrics.items())
        + ".",
        "- Photographs scaled by dropping pixels, enlarged or taken from screens did not train it.",
        "- Faces turned far aside, covered or smaller than "
        f"{manifest.preprocessing.image_size} pixels are not found or not judged.",
    ]
    return "\n".join(lines)


def _decision(manifest: Manifest) -> str:
    decision = manifest.decision
    text = f"*Fake* is a score above {decision.threshold:.4f}"
    if decision.lower_threshold < decision.threshold:
        return f"{text}, *real* one below {decision.lower_threshold:.4f}, *unsure* what lies between."
    return f"{text}, *real* any other; this detector is never unsure."
