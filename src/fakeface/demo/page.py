"""The page itself: its parts, and what happens when a picture is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from fakeface.bundle.load import Bundle
from fakeface.demo.about import EVIDENCE, PRIVACY, about
from fakeface.demo.answer import Answer, answer, answer_file
from fakeface.demo.limits import MAX_FILE_SIZE, MAX_WAITING, RateLimit
from fakeface.demo.samples import Sample
from fakeface.faces.finder import FaceFinder

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
