"""The page itself: its test pictures, its words, and what happens when a picture is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from fakeface.apps.demo.answer import MAX_FILE_SIZE, MAX_WAITING, Answer, RateLimit, answer, answer_file
from fakeface.data.faces import FaceFinder
from fakeface.data.image_sets import ImageSet, evenly_spaced
from fakeface.detector.bundle import Bundle, Manifest

# -------------------------------------------------------------------------------------------------
# Pictures that the demo offers: images of the test split, as the evaluation sees them.

PHOTOGRAPH = "photograph"


@dataclass(frozen=True)
class Sample:
    """A prepared test image.

    Attributes:
        source: ``photograph`` or the name of a GAN.
        description: the same in words.
        pixels: uint8 (S, S, 3).
    """

    source: str
    description: str
    pixels: np.ndarray


def sample_pictures(root: Path, seen: Sequence[str], image_size: int, each: int = 2) -> list[Sample]:
    """``each`` photographs and fakes a GAN of the test split, evenly spaced; none if ``root`` has no data.

    Args:
        root: folder with ``real/test`` and ``fake/<gan>/test``.
        seen: GANs that the detector was trained on.
        image_size: images of another size are left out, since the detector was not made for them.
        each: of each source.

    Raises:
        ImageSetError: if a set is there and damaged.
    """
    sources = [(PHOTOGRAPH, "a photograph", root / "real" / "test")]
    for folder in sorted((root / "fake").glob("*/test")):
        gan = folder.parent.name
        told = "was trained on" if gan in seen else "never saw in training"
        sources.append((gan, f"a fake of {gan}, a GAN that the detector {told}", folder))
    samples = []
    for source, description, folder in sources:
        if folder.is_dir():
            images = evenly_spaced(ImageSet.read(folder).images, each)
            samples += [Sample(source, description, image) for image in images if len(image) == image_size]
    return samples


# -------------------------------------------------------------------------------------------------
# What the page says of the detector: what it can tell and what it cannot, with its own figures.

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


# -------------------------------------------------------------------------------------------------
# The page itself: its parts, and what happens when a picture is dropped.

TITLE = "fakeface: was this face made by a GAN?"
# Uploads older than the second are deleted whenever the first has passed.
DELETE_EVERY_S, DELETE_AFTER_S = 3600, 3600


def build_page(
    bundle: Bundle, finder: FaceFinder, samples: Sequence[Sample], limit: RateLimit | None = None
) -> gr.Blocks:
    """The page, not served yet.

    Args:
        bundle: the detector.
        finder: of faces.
        samples: test images to try, may be none.
        limit: of questions an address; None: the default.
    """
    limit = limit or RateLimit()

    def shown(found: Answer) -> tuple[Any, ...]:
        return (
            found.text,
            gr.update(value=found.picture, visible=found.picture is not None),
            gr.update(value=list(found.evidence), visible=bool(found.evidence)),
            gr.update(visible=bool(found.evidence)),
        )

    def refused(request: gr.Request) -> Answer | None:
        address = request.client.host if request.client else "unknown"
        if limit.admits(address):
            return None
        return Answer(f"**Please wait**: this page takes {limit.words} from one address.")

    def on_file(path: str | None, aligned: bool, request: gr.Request) -> tuple[Any, ...]:
        if path is None:
            return shown(Answer(""))
        return shown(refused(request) or answer_file(Path(path), bundle, None if aligned else finder))

    def on_sample(request: gr.Request, event: gr.SelectData) -> tuple[Any, ...]:
        picked = samples[int(event.index)]
        found = refused(request)
        if found is None:
            said = answer(Image.fromarray(picked.pixels), bundle, None)
            found = Answer(f"Test picture: {picked.description}.\n\n{said.text}", said.picture, said.evidence)
        return shown(found)

    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(DELETE_EVERY_S, DELETE_AFTER_S)
    ) as page:
        gr.Markdown(f"# {TITLE}")
        with gr.Row():
            with gr.Column():
                upload = gr.File(
                    label=f"Drop a picture here, at most {MAX_FILE_SIZE}",
                    file_types=["image"],
                    elem_id="upload",
                )
                aligned = gr.Checkbox(
                    label="The picture is one aligned face already (as CelebA's are); look for none",
                    elem_id="aligned",
                )
                if samples:
                    gallery = gr.Gallery(
                        value=[(Image.fromarray(sample.pixels), sample.source) for sample in samples],
                        label="or try a test picture",
                        columns=5,
                        object_fit="contain",
                        height="auto",
                        allow_preview=False,
                        buttons=[],
                        interactive=False,
                        format="png",
                        elem_id="samples",
                    )
            with gr.Column():
                verdict = gr.Markdown(elem_id="verdict")
                picture = gr.Image(
                    label="Faces",
                    interactive=False,
                    visible=False,
                    format="png",
                    buttons=["fullscreen"],
                    elem_id="picture",
                )
                heatmaps = gr.Gallery(
                    label="Evidence",
                    columns=2,
                    object_fit="contain",
                    height="auto",
                    interactive=False,
                    visible=False,
                    format="png",
                    buttons=["fullscreen"],
                    elem_id="evidence",
                )
                caption = gr.Markdown(EVIDENCE, visible=False)
        gr.Markdown(f"## What this can and cannot tell\n\n{about(bundle.manifest)}\n\n{PRIVACY}")
        outputs = [verdict, picture, heatmaps, caption]
        # One at a time: the networks use every core, and gradients of two heatmaps must not mix.
        common: dict[str, Any] = {
            "concurrency_limit": 1,
            "concurrency_id": "detector",
            "api_visibility": "private",
        }
        gr.on([upload.change, aligned.change], on_file, [upload, aligned], outputs, **common)
        if samples:
            gallery.select(on_sample, None, outputs, **common)
    page.queue(max_size=MAX_WAITING)
    return page
