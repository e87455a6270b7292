"""The web page that judges pictures: one answer to a picture, and the page around it."""

from __future__ import annotations

import html
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from PIL import Image, ImageDraw, ImageFont

from fakeface.apps.judge import NO_FACE, Judged, PictureError, faces_of, read_picture, score_faces
from fakeface.apps.output import evidence, percent
from fakeface.base.errors import FakefaceError
from fakeface.bundle.bundle import Bundle, Manifest, load_networks
from fakeface.data.faces import FaceFinder
from fakeface.data.image_sets import ImageSet, evenly_spaced
from fakeface.data.preprocess import CorruptImageError, decode
from fakeface.detector.attribution_head import UNKNOWN
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector

MAX_FILE_SIZE = "20 MB"
MAX_WAITING = 20
RATE = "30/minute"
# Heatmaps take longer than verdicts; a crowd gets verdicts for all and evidence for some.
MAX_EVIDENCE = 6
_SHOWN_SIDE = 1000
_COLOURS = {"fake": "#c62828", "unsure": "#b26a00", "real": "#2e7d32", None: "#616161"}


class RateLimit:
    """At most so many pictures an address, counted over a moving window; kept in memory.

    Against accidents, not attacks: a question is counted when it is answered, after its upload and its place
    in the queue. Whoever serves the page to strangers puts a proxy in front of it that limits uploads, too.
    """

    def __init__(self, rate: str = RATE) -> None:
        self._item = parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admits(self, address: str) -> bool:
        """Whether ``address`` may ask once more; counts the question if so."""
        return self._limiter.hit(self._item, address)

    @property
    def words(self) -> str:
        """The limit for people."""
        return f"at most {self._item.amount} pictures in {self._item.get_expiry()} seconds"


class DemoError(FakefaceError, RuntimeError):
    """The page cannot be served; the message says why."""


@dataclass(frozen=True)
class Answer:
    """To one picture: Markdown, with what is not ours escaped, and pictures.

    ``picture`` has a numbered box around each face, None if none was looked for; ``evidence`` is each of the
    first faces and its heatmap, with captions.
    """

    text: str
    picture: Image.Image | None = None
    evidence: tuple[tuple[Image.Image, str], ...] = ()


def answer_file(path: Path, bundle: Bundle[Detector], finder: FaceFinder | None) -> Answer:
    """Judge a picture file; a file that cannot be judged gets the reason as its answer."""
    try:
        image = decode(read_picture(path))
    except (PictureError, CorruptImageError) as error:
        return Answer(f"**This file cannot be judged**: {html.escape(str(error))}.")
    return answer(image, bundle, finder)


def answer(image: Image.Image, bundle: Bundle[Detector], finder: FaceFinder | None) -> Answer:
    """Judge an upright RGB picture; without ``finder`` it is one aligned face already."""
    detector = bundle.detector
    faces = score_faces(faces_of(image, detector.image_size, finder), detector, bundle.attribution)
    if not faces:
        return Answer(
            f"**No verdict: {NO_FACE}.** The detector judges faces only. If the picture is one face that "
            "fills it, as CelebA's do, tick the box under the picture.",
            _with_boxes(image, faces),
        )
    lines = [_words(face, number, len(faces), detector.rule) for number, face in enumerate(faces, start=1)]
    judged = [(number, face) for number, face in enumerate(faces, start=1) if face.verdict is not None]
    if len(judged) > MAX_EVIDENCE:
        lines.append(f"Evidence is shown for the first {MAX_EVIDENCE} of {len(judged)} faces.")
    shown = []
    for number, face in judged[:MAX_EVIDENCE]:
        pair = evidence(face, detector)
        side = pair.height
        shown.append((pair.crop((0, 0, side, side)), f"face {number}"))
        shown.append((pair.crop((side, 0, 2 * side, side)), f"what says {face.verdict}"))
    return Answer("\n\n".join(lines), None if finder is None else _with_boxes(image, faces), tuple(shown))


def _words(face: Judged, number: int, count: int, rule: DecisionRule) -> str:
    name = f"Face {number}: " if count > 1 else ""
    if face.verdict is None or face.score is None:
        return f"{name}**no verdict**: {html.escape(str(face.reason))}."
    note = f" Note: {html.escape(face.note)}." if face.note else ""
    score = f"Its score is {face.score:.3f}."
    if face.rank is not None:
        score = f"It scores higher than {percent(face.rank, rule)} of photographs."
    if face.verdict == "real":
        return f"{name}**Called real.** {score} It shows no trace of a GAN that this detector can see.{note}"
    like = (
        "It resembles the fakes of none of the GANs that it can name."
        if face.resembles in (None, UNKNOWN)
        else f"It resembles the fakes of **{face.resembles}**."
    )
    said = "Called fake." if face.verdict == "fake" else "Unsure."
    return f"{name}**{said}** {score} {like}{note}"


def _with_boxes(image: Image.Image, faces: list[Judged]) -> Image.Image:
    """A copy of at most ``_SHOWN_SIDE`` pixels a side; faces that have a box have it drawn."""
    scale = min(1.0, _SHOWN_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    shown = image.resize(size, Image.Resampling.BICUBIC) if scale < 1 else image.copy()
    draw = ImageDraw.Draw(shown)
    line = max(2, round(max(size) / 250))
    font = ImageFont.load_default(size=max(12, round(max(size) / 40)))
    for number, face in enumerate(faces, start=1):
        if face.box is None:
            continue
        corners = np.asarray(face.box) * scale
        draw.rectangle(tuple(corners), outline=_COLOURS[face.verdict], width=line)
        place = (corners[0] + line, corners[1] + line)
        draw.rectangle(draw.textbbox(place, f" {number} ", font=font), fill=_COLOURS[face.verdict])
        draw.text(place, f" {number} ", fill="white", font=font)
    return shown


TITLE = "fakeface: was this face made by a GAN?"
EVIDENCE = (
    "Each face as the network sees it, and beside it: the brighter the red, the more that place speaks for "
    "the verdict (Grad-CAM)."
)
PRIVACY = "Pictures stay on the machine that serves this page, and are deleted within two hours."
# Uploads older than the second are deleted whenever the first has passed.
DELETE_EVERY_S, DELETE_AFTER_S = 3600, 3600
PHOTOGRAPH = "photograph"


@dataclass(frozen=True)
class Sample:
    """A prepared test image, uint8 (S, S, 3); from a GAN or a ``photograph``, and the same in words."""

    source: str
    description: str
    pixels: np.ndarray


def sample_pictures(root: Path, seen: Sequence[str], image_size: int, each: int = 2) -> list[Sample]:
    """``each`` photographs and fakes a GAN of the test split, evenly spaced; none if ``root`` has no data.

    Images of another size are left out, since the detector was not made for them.

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


def about(manifest: Manifest) -> str:
    """What the detector can tell and what it cannot, as Markdown; every figure is the bundle's."""
    figures = manifest.metrics["laundered"]
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
        "- **The percentage** says how many photographs of the validation set score lower. It is no "
        "probability: where fakes are rare, most pictures called fake are photographs.",
        "- **A verdict is a hint, no proof.** Never accuse or clear anybody by it.",
        "- **The name of a GAN** says which traces a picture has, not which program made it. It can name "
        f"{', '.join(manifest.attribution.gans)}.",
    ]
    return lines[0] + "\n\n" + "\n".join(lines[1:])


def build_page(
    bundle: Bundle[Detector], finder: FaceFinder, samples: Sequence[Sample], limit: RateLimit | None = None
) -> gr.Blocks:
    """The page, not served yet."""
    limit = limit or RateLimit()

    def refused(request: gr.Request) -> Answer | None:
        address = request.client.host if request.client else "unknown"
        if limit.admits(address):
            return None
        return Answer(f"**Please wait**: this page takes {limit.words} from one address.")

    def on_file(path: str | None, aligned: bool, request: gr.Request) -> tuple[Any, ...]:
        if path is None:
            return _shown(Answer(""))
        return _shown(refused(request) or answer_file(Path(path), bundle, None if aligned else finder))

    def on_sample(request: gr.Request, event: gr.SelectData) -> tuple[Any, ...]:
        picked = samples[int(event.index)]
        found = refused(request)
        if found is None:
            said = answer(Image.fromarray(picked.pixels), bundle, None)
            found = Answer(f"Test picture: {picked.description}.\n\n{said.text}", said.picture, said.evidence)
        return _shown(found)

    # One at a time: the networks use every core, and gradients of two heatmaps must not mix.
    one_at_a_time = {"concurrency_limit": 1, "concurrency_id": "detector", "api_visibility": "private"}
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(DELETE_EVERY_S, DELETE_AFTER_S)
    ) as page:
        gr.Markdown(f"# {TITLE}")
        with gr.Row():
            with gr.Column():
                upload, aligned, gallery = _inputs(samples)
            with gr.Column():
                outputs = _outputs()
        gr.Markdown(f"## What this can and cannot tell\n\n{about(bundle.manifest)}\n\n{PRIVACY}")
        gr.on([upload.change, aligned.change], on_file, [upload, aligned], outputs, **one_at_a_time)
        if gallery is not None:
            gallery.select(on_sample, None, outputs, **one_at_a_time)
    page.queue(max_size=MAX_WAITING)
    return page


def _inputs(samples: Sequence[Sample]) -> tuple[Any, Any, Any]:
    """The field for a picture, the box for aligned ones, and the test pictures, None if there are none."""
    upload = gr.File(
        label=f"Drop a picture here, at most {MAX_FILE_SIZE}", file_types=["image"], elem_id="upload"
    )
    aligned = gr.Checkbox(
        label="The picture is one aligned face already (as CelebA's are); look for none", elem_id="aligned"
    )
    if not samples:
        return upload, aligned, None
    gallery = _gallery(
        value=[(Image.fromarray(sample.pixels), sample.source) for sample in samples],
        label="or try a test picture",
        columns=5,
        allow_preview=False,
        buttons=[],
        elem_id="samples",
    )
    return upload, aligned, gallery


def _outputs() -> list[Any]:
    """What :func:`_shown` fills: words, the picture with boxes, heatmaps and what they mean."""
    zoom = ["fullscreen"]
    return [
        gr.Markdown(elem_id="verdict"),
        gr.Image(
            label="Faces", interactive=False, visible=False, format="png", buttons=zoom, elem_id="picture"
        ),
        _gallery(label="Evidence", columns=2, visible=False, buttons=zoom, elem_id="evidence"),
        gr.Markdown(EVIDENCE, visible=False),
    ]


def _gallery(**options: Any) -> Any:
    return gr.Gallery(object_fit="contain", height="auto", interactive=False, format="png", **options)


def _shown(found: Answer) -> tuple[Any, ...]:
    return (
        found.text,
        gr.update(value=found.picture, visible=found.picture is not None),
        gr.update(value=list(found.evidence), visible=bool(found.evidence)),
        gr.update(visible=bool(found.evidence)),
    )


def serve(detector: str, samples: Path, host: str, port: int, device: str = "auto") -> gr.Blocks:
    """Serve the page in threads of this process and return; ``close()`` ends it.

    Args:
        detector: folder of a bundle.
        samples: folder with the pipeline's ``real`` and ``fake``; none are offered if it lacks them.
        host, port: to listen on; 0 for any free port.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DemoError: if the address cannot be listened on.
        BundleError: if there is no usable detector.
    """
    for_strangers = not _is_loopback(host)
    bundle = load_networks(detector, device)
    finder = bundle.finder()
    size = bundle.detector.image_size
    offered = sample_pictures(samples, tuple(bundle.manifest.training.n_fakes), size)
    if for_strangers:
        # CelebA's photographs must not be handed on.
        offered = [sample for sample in offered if sample.source != PHOTOGRAPH]
    # The first pass allocates and compiles; no visitor should wait for it.
    grey = Image.fromarray(np.full((size, size, 3), 128, dtype=np.uint8))
    answer(grey, bundle, None)
    finder.find(grey)
    page = build_page(bundle, finder, offered)
    try:
        page.launch(
            server_name=host,
            server_port=port or _free_port(host),
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=MAX_FILE_SIZE.replace(" ", "").lower(),
            footer_links=[],
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        )
    except OSError as error:
        raise DemoError(f"cannot listen on {host}:{port}: {error}") from error
    return page


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; DemoError if there is no such address."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise DemoError(f"cannot listen on {host}: {error}") from error
    return all(ipaddress.ip_address(address).is_loopback for address in found)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
