"""What the page says of the detector: what it can tell and what it cannot, with its own figures."""

from __future__ import annotations

from fakeface.bundle.manifest import Manifest

_PROTOCOL = "laundered"


def about(manifest: Manifest) -> str:
    """Markdown; every figure is the bundle's."""
    figures = manifest.metrics[_PROTOCOL]
    seen, unseen = figures["seen"], figures.get("unseen") or {}
    lines = [
        f"On {seen['n_real']} test photographs that were rescaled and compressed as pictures on the web are, "
        f"it calls {seen['fpr']:.0%} fake. Of such fakes by GANs that it was trained on it finds "
        f"{seen['recall']:.0%}"
        + (f", by GANs that it has never seen {unseen['recall']:.0%}." if "recall" in unseen else "."),
        "- **It can** point to traces that GANs leave in whole faces: "
        f"{', '.join(manifest.training.n_fakes)} and what is like them.",
        "- **It cannot** judge swapped or edited faces, pictures of diffusion models, drawings, or faces of "
        f"fewer than {manifest.preprocessing.image_size} pixels.",
        "- **P(fake)** is how likely the face is a fake if fakes and photographs were equally many and the "
        "GAN were one of those in training. Where fakes are rare, most pictures called fake are photographs.",
        "- **A verdict is a hint, no proof.** Never accuse or clear anybody by it.",
        "- **The name of a GAN** says which traces a picture has, not which program made it. It can name "
        f"{', '.join(manifest.attribution.gans)}.",
    ]
    return lines[0] + "\n\n" + "\n".join(lines[1:])


EVIDENCE = (
    "Each face as the network sees it, and beside it: the brighter the red, the more that place speaks for "
    "the verdict (Grad-CAM)."
)
PRIVACY = "Pictures stay on the machine that serves this page, and are deleted within two hours."
