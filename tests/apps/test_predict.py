"""`fakeface predict`: the right verdict for each picture, bad ones named and the rest still judged."""

from __future__ import annotations

import copy
import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import celeba_photographs, make_bundle
from conftest import encode, random_picture
from PIL import Image

from fakeface.apps.cli import main
from fakeface.apps.judge import Refused, expand, judge
from fakeface.apps.output import overlay
from fakeface.bundle.bundle import Bundle, load_bundle
from fakeface.data.preprocess import decode, preprocess
from fakeface.detector import decision
from fakeface.detector.decision import VERDICTS, DecisionRule


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("predict"))


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder, "cpu")


@pytest.fixture(scope="module")
def celeba() -> list[bytes]:
    return celeba_photographs((1, 2, 4))


def predict(folder: Path, *arguments: object) -> int:
    return main(["predict", "--detector", str(folder), *(str(argument) for argument in arguments)])


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_scores_are_those_of_the_detector_in_the_order_of_the_names(
    folder: Path, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = [encode(random_picture(seed), quality=95) for seed in range(70)]  # more than a batch
    for number, content in enumerate(contents):
        (tmp_path / f"{number:03d}.jpg").write_bytes(content)
    assert predict(folder, "--no-align", "--csv", tmp_path) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [Path(row["picture"]).name for row in rows] == [f"{number:03d}.jpg" for number in range(70)]
    images = np.stack([preprocess(decode(content), 64) for content in contents])
    expected, _ = bundle.detector.score_and_embed(images, 7)
    np.testing.assert_allclose([float(row["score"]) for row in rows], expected, atol=1e-6)
    assert np.ptp(expected) > 1e-4
    words = [VERDICTS[code] for code in DecisionRule(0.4, 0.2).verdicts(expected)]
    assert [row["verdict"] for row in rows] == words
    assert all(row["left"] == "" for row in rows)


def test_verdicts_part_at_the_thresholds_and_only_suspects_resemble_a_gan(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Noise does not survive compression: its copies would contradict it.
    monkeypatch.setattr(decision, "copies", lambda image: [image, image])
    names = [tmp_path / f"{seed}.png" for seed in range(12)]
    for seed, name in enumerate(names):
        random_picture(seed).save(name)
    detector = copy.copy(bundle.detector)
    scores = [picture.faces[0].score for picture in judge(names, detector, None)]
    lower, upper = (float(value) for value in np.quantile(np.array(scores, dtype=float), [0.3, 0.7]))
    detector.rule = replace(detector.rule, threshold=upper, lower_threshold=lower)
    faces = [picture.faces[0] for picture in judge(names, detector, None, bundle.attribution)]
    assert [face.score for face in faces] == pytest.approx(scores, abs=1e-6)
    assert {face.verdict for face in faces} == set(VERDICTS)
    for face in faces:
        assert (face.resembles is None) == (face.verdict == "real")
        assert face.resembles in (None, "dcgan", "sngan", "unknown")
    assert any(face.resembles for face in faces)


def test_a_prepared_image_passes_unchanged(bundle: Bundle, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "fake.png")
    (picture,) = judge([tmp_path / "fake.png"], bundle.detector, None)
    np.testing.assert_array_equal(picture.faces[0].pixels, pixels)


def test_every_face_of_a_picture_is_judged(
    folder: Path, celeba: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = Image.new("RGB", (700, 300), "grey")
    for index, content in enumerate(celeba):
        group.paste(decode(content), (20 + 220 * index, 40))
    group.save(tmp_path / "group.png")
    assert predict(folder, "--json", tmp_path / "group.png") == 0
    (line,) = json_lines(capsys.readouterr().out)
    faces = line["faces"]
    assert isinstance(faces, list)
    assert len(faces) == 3
    for index, face in enumerate(faces):
        left, _, right, _ = face["box"]
        assert 20 + 220 * index < left < right < 20 + 220 * index + 178
        assert face["verdict"] in VERDICTS
        assert 0 <= face["score"] <= 1
    assert predict(folder, tmp_path / "group.png") == 0
    table = capsys.readouterr().out
    assert "group.png (face 3 of 3)" in table
    assert "Fake: above 0.4000; real: below 0.2000; unsure: between, if a compressed" in table


def test_the_same_face_scores_alike_whatever_file_it_comes_in(
    folder: Path, celeba: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph = decode(celeba[0]).resize((534, 654), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    files = {
        "plain.png": encode(photograph, "PNG"),
        "rotated.png": encode(photograph.rotate(90, expand=True), "PNG", exif=exif),
        "alpha.png": encode(photograph.convert("RGBA"), "PNG"),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    sixteen = np.asarray(photograph.convert("L")).astype(np.uint16) * 257
    Image.fromarray(sixteen).save(tmp_path / "sixteen.png")
    photograph.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert predict(folder, "--json", tmp_path) == 0
    scores = {
        Path(str(line["picture"])).name: line["faces"][0]["score"]
        for line in json_lines(capsys.readouterr().out)
    }
    assert set(scores) == {*files, "sixteen.png", "cmyk.jpg"}
    assert scores["rotated.png"] == pytest.approx(scores["plain.png"], abs=1e-6)
    assert scores["alpha.png"] == pytest.approx(scores["plain.png"], abs=1e-6)


def test_bad_pictures_are_named_and_the_others_still_judged(
    folder: Path, celeba: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = decode(celeba[0])
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.jpg").write_bytes(celeba[0])
    (pictures / "b_html.jpg").write_bytes(b"<html>not here</html>")
    (pictures / "c_empty.png").write_bytes(b"")
    (pictures / "d_cut.jpg").write_bytes(celeba[0][:2000])
    good.save(pictures / "e_moving.png", save_all=True, append_images=[good.rotate(90)])
    Image.new("1", (30000, 30000)).save(pictures / "f_bomb.png")
    Image.new("RGB", (1, 1)).save(pictures / "g_one.png")
    (pictures / "h.jpg").write_bytes(celeba[1])
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "notes.txt").write_text("no picture")
    assert predict(folder, "--json", pictures, tmp_path / "bare", tmp_path / "absent.jpg") == 1
    captured = capsys.readouterr()
    lines = json_lines(captured.out)
    said = {Path(str(line["picture"])).name: line["message"] for line in lines}
    assert said["b_html.jpg"] == "not a picture in JPEG, PNG, BMP, WEBP, TIFF, PPM format"
    assert said["c_empty.png"] == "an empty file"
    assert "truncated" in str(said["d_cut.jpg"])
    assert said["e_moving.png"] == "2 frames, expected a single picture"
    assert "pixels" in str(said["f_bomb.png"])
    assert said["g_one.png"] == "no face found"
    assert str(said["bare"]).startswith("a folder without pictures")
    assert said["absent.jpg"] == "no such file or folder"
    judged = [Path(str(line["picture"])).name for line in lines if line["faces"]]
    assert judged == ["a.jpg", "h.jpg"]
    errors = captured.err.splitlines()
    assert len(errors) == 7
    assert all(line.startswith("error: ") for line in errors)


def test_no_face_is_a_message_and_a_small_face_has_no_verdict(
    folder: Path, celeba: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random_picture(0, 300, 300).save(tmp_path / "landscape.png")
    assert predict(folder, tmp_path / "landscape.png") == 0
    assert "landscape.png: no face found" in capsys.readouterr().out
    canvas = Image.new("RGB", (300, 300), "grey")
    canvas.paste(decode(celeba[0]).resize((53, 65), Image.Resampling.BICUBIC), (100, 100))
    canvas.save(tmp_path / "small.png")
    assert predict(folder, "--json", tmp_path / "small.png") == 1
    (line,) = json_lines(capsys.readouterr().out)
    (face,) = line["faces"]
    assert face["verdict"] is None
    assert "expected at least 64" in face["message"]


def test_a_cut_off_face_has_a_note(
    folder: Path, celeba: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decode(celeba[0]).crop((40, 0, 178, 218)).save(tmp_path / "cut.png")
    assert predict(folder, "--json", tmp_path / "cut.png") == 0
    (face,) = json_lines(capsys.readouterr().out)[0]["faces"]
    assert face["verdict"] in ("fake", "unsure")
    assert "% of what the detector looks at lies outside the picture" in face["message"]
    assert predict(folder, tmp_path / "cut.png") == 0
    assert "lies outside the picture]" in capsys.readouterr().out


def test_a_sample_sheet_is_judged_picture_by_picture(
    folder: Path, celeba: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    squares = [Image.fromarray(preprocess(decode(content), 64)) for content in celeba[:2]]
    sheet = Image.new("RGB", (2 + 3 * 66, 2 + 2 * 66))
    for place in range(6):
        sheet.paste(squares[place % 2], (2 + place % 3 * 66, 2 + place // 3 * 66))
    sheet.save(tmp_path / "sheet.png")
    for number, square in enumerate(squares):
        square.save(tmp_path / f"{number}.png")
    assert predict(folder, "--no-align", "--json", tmp_path) == 0
    one, other, whole = json_lines(capsys.readouterr().out)
    assert len(whole["faces"]) == 6
    for place, face in enumerate(whole["faces"]):
        single = (one, other)[place % 2]["faces"][0]
        assert face["verdict"] in VERDICTS
        # The lines between the pictures may be a pixel off.
        assert face["score"] == pytest.approx(single["score"], abs=0.2)
        assert face["message"] == "of a sample sheet of 3 x 2 pictures"
    sheet.resize((128, 85), Image.Resampling.BICUBIC).save(tmp_path / "0.png")
    assert predict(folder, "--no-align", "--json", tmp_path / "0.png") == 1
    (face,) = json_lines(capsys.readouterr().out)[0]["faces"]
    assert face["message"] == "a sample sheet of 3 x 2 pictures of 43 x 42 pixels each, expected at least 64"


def test_a_list_on_standard_input(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [tmp_path / "one picture.png", tmp_path / "other.png"]
    for seed, name in enumerate(names):
        random_picture(seed).save(name)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{names[0]}\n\n{names[1]}\r\n"))
    assert predict(folder, "--no-align", "--csv", "-") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["picture"] for row in rows] == [str(name) for name in names]


def test_folders_are_searched_in_order_and_links_are_not_followed(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt", "deeper/c.webp"):
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).write_bytes(b"x")
    (tmp_path / "top" / "loop").symlink_to(tmp_path / "top", target_is_directory=True)
    found = list(expand([str(tmp_path / "top")], ()))
    assert [entry.name for entry in found if isinstance(entry, Path)] == ["a.JPG", "b.png", "c.webp"]
    # Named outright, a file is taken whatever it is called.
    assert list(expand([str(tmp_path / "top" / "notes.txt")], ())) == [tmp_path / "top" / "notes.txt"]
    assert list(expand(["-"], ["", "-", "absent"])) == [Refused("absent", "no such file or folder")]


def test_heatmaps_show_the_face_beside_its_evidence(
    folder: Path, celeba: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "same.jpg").write_bytes(celeba[0])
    out = tmp_path / "heatmaps"
    assert predict(folder, tmp_path / "one", tmp_path / "other", "--explain", out) == 0
    capsys.readouterr()
    written = sorted(out.iterdir())
    assert len(written) == 2
    assert written[0].name.startswith("0001-same-1-")
    image = np.asarray(Image.open(written[0]))
    assert image.shape == (256, 512, 3)
    assert np.abs(image[:, :256].astype(int) - image[:, 256:]).mean() > 3


def test_an_overlay_is_reddest_where_the_heatmap_is_highest() -> None:
    heatmap = np.zeros((8, 8))
    heatmap[2, 5] = 1
    painted = overlay(np.full((8, 8, 3), 100, dtype=np.uint8), heatmap).astype(int)
    redness = painted[..., 0] - painted[..., 1]
    assert np.unravel_index(redness.argmax(), redness.shape) == (2, 5)
    assert (painted[heatmap == 0] == 100).all()
    assert (overlay(np.full((8, 8, 3), 100, dtype=np.uint8), np.zeros((8, 8))) == 100).all()


def test_without_a_detector_nothing_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(tmp_path, "picture.png") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {tmp_path}: no detector here")


@pytest.mark.parametrize("arguments", [[], ["predict"], ["predict", "x", "--json", "--csv"], ["other"]])
def test_wrong_arguments_end_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: fakeface" in capsys.readouterr().err


def test_help_needs_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys; from fakeface.apps.cli import parser; parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
