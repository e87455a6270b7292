"""Load the detector, warm it up and serve the page."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from fakeface.apps.demo.answer import MAX_FILE_SIZE, answer
from fakeface.apps.demo.page import PHOTOGRAPH, build_page, sample_pictures
from fakeface.base.errors import DemoError
from fakeface.data.faces import FaceFinder
from fakeface.detector.bundle import load_bundle


def serve(detector: str, samples: Path, host: str, port: int, device: str = "auto") -> gr.Blocks:
    """Serve the page in threads of this process and return; ``close()`` ends it.

    Args:
        detector: folder of a bundle.
        samples: folder with the pipeline's ``real`` and ``fake``; none are offered if it lacks them.
        host: address to listen on.
        port: 0 for any free one.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DemoError: if the address cannot be listened on.
        BundleError: if there is no usable detector.
    """
    for_strangers = not _is_loopback(host)
    bundle = load_bundle(detector, device)
    finder = FaceFinder(bundle.faces)
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
