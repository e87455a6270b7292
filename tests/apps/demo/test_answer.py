"""What the demo says, without a browser: verdicts, reasons, limits, samples, its own figures."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import random_picture
from PIL import Image

from fakeface.apps import cli
from fakeface.apps.cli import main, parser
from fakeface.apps.demo import MAX_EVIDENCE, about, answer, answer_file, sample_pictures
from fakeface.apps.judge import faces_of, score_faces
from fakeface.bundle.bundle import Bundle
from fakeface.data.faces import FaceFinder
from fakeface.data.image_sets import ImageSetError

limits = pytest.importorskip("limits", reason="needs the extra demo")


def test_every_face_is_named_and_boxed_and_its_evidence_shown(
    bundle: Bundle, finder: FaceFinder, group: Image.Image
) -> None:
    found = answer(group, bundle, finder)
    judged = score_faces(faces_of(group, 64, finder), bundle.detector)
    assert len(judged) == 3
    for number, face in enumerate(judged, start=1):
        assert face.score is not None
        assert face.box is not None
        assert f"Face {number}: " in found.text
        assert f"Its score is {face.score:.3f}." in found.text
        # The frame of its box has another colour than the picture below it.
        assert found.picture is not None
        place = (round(face.box[2]) - 1, round((face.box[1] + face.box[3]) / 2))
        assert found.picture.getpixel(place) != group.getpixel(place)
    assert [picture.size for picture, _ in found.evidence] == [(256, 256)] * 6
    assert [caption for _, caption in found.evidence][::2] == ["face 1", "face 2", "face 3"]


def test_the_verdict_decides_the_words(bundle: Bundle) -> None:
    picture = random_picture(1)
    (face,) = score_faces(faces_of(picture, 64, None), bundle.detector)
    assert face.score is not None
    said = {}
    below, above, between = face.score / 2, (1 + face.score) / 2, (1 + 3 * face.score) / 4
    for name, (upper, lower) in {
        "fake": (below, below),
        "unsure": (above, below),
        "real": (above, between),
    }.items():
        detector = copy.copy(bundle.detector)
        detector.rule = replace(detector.rule, threshold=upper, lower_threshold=lower)
        said[name] = answer(picture, replace(bundle, detector=detector), None).text
    assert "Called fake." in said["fake"]
    assert "Unsure." in said["unsure"]
    assert "Called real." in said["real"]
    assert "resembles" not in said["real"]
    assert "resembles" in said["fake"]


def test_a_picture_without_a_face_gets_no_verdict_and_advice(bundle: Bundle, finder: FaceFinder) -> None:
    found = answer(Image.new("RGB", (300, 200), "grey"), bundle, finder)
    assert "No verdict: no face found" in found.text
    assert not found.evidence
    assert found.picture is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html><b>no</b></html>", "not a picture in JPEG, PNG"),
        (b"", "an empty file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "cannot be judged"),
    ],
)
def test_a_file_that_is_no_picture_gets_the_reason(
    bundle: Bundle, finder: FaceFinder, tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    found = answer_file(tmp_path / "x.jpg", bundle, finder)
    assert reason in found.text
    assert "<" not in found.text
    assert found.picture is None


def test_a_picture_that_is_too_small_is_told_so(bundle: Bundle) -> None:
    found = answer(Image.new("RGB", (20, 20)), bundle, None)
    assert "no verdict" in found.text
    assert "20x20" in found.text


def test_a_crowd_has_verdicts_for_all_and_evidence_for_some(bundle: Bundle, group: Image.Image) -> None:
    class Crowd(FaceFinder):
        def __init__(self) -> None:
            self.framing = real.framing

        def find(self, image: Image.Image) -> list:
            return [face for _ in range(3) for face in real.find(image)]

    real = FaceFinder(bundle.faces, threads=1)
    found = answer(group, bundle, Crowd())
    assert found.text.count("Face ") == 9
    assert len(found.evidence) == 2 * MAX_EVIDENCE
    assert f"first {MAX_EVIDENCE} of 9 faces" in found.text


def test_a_large_picture_is_shown_reduced(bundle: Bundle, finder: FaceFinder, group: Image.Image) -> None:
    found = answer(group.resize((2100, 900)), bundle, finder)
    assert found.picture is not None
    assert found.picture.size == (1000, 429)


def test_the_page_says_what_the_detector_cannot_do_with_its_own_figures(bundle: Bundle) -> None:
    text = about(bundle.manifest)
    figures = bundle.manifest.metrics["laundered"]
    assert f"calls {figures['seen']['fpr']:.0%} fake" in text
    assert f"never seen {figures['unseen']['recall']:.0%}" in text
    assert "dcgan" in text


def test_one_address_is_limited_and_others_are_not() -> None:
    from fakeface.apps.demo import RateLimit

    limit = RateLimit("2/minute")
    assert [limit.admits("10.0.0.1") for _ in range(3)] == [True, True, False]
    assert limit.admits("10.0.0.2")
    assert limit.words == "at most 2 pictures in 60 seconds"


def test_samples_are_test_images_and_say_what_was_seen(data_folder: Path) -> None:
    samples = sample_pictures(data_folder, ("dcgan",), 64)
    assert [sample.source for sample in samples] == ["photograph"] * 2 + ["dcgan"] * 2 + ["sngan"] * 2
    assert "was trained on" in samples[2].description
    assert "never saw" in samples[4].description
    stored = np.load(data_folder / "fake" / "sngan" / "test" / "images.npy")
    np.testing.assert_array_equal(samples[4].pixels, stored[0])
    assert sample_pictures(data_folder, ("dcgan",), 128) == []


def test_no_data_means_no_samples_and_damaged_data_an_error(tmp_path: Path) -> None:
    assert sample_pictures(tmp_path, (), 64) == []
    (tmp_path / "real" / "test").mkdir(parents=True)
    with pytest.raises(ImageSetError, match=r"images.npy is missing"):
        sample_pictures(tmp_path, (), 64)


def test_it_listens_on_this_machine_only_unless_told() -> None:
    assert parser().parse_args(["demo"]).host == "127.0.0.1"


def test_without_gradio_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda _: None)
    assert main(["demo"]) == 2
    assert "pip install -e '.[demo]'" in capsys.readouterr().err
