"""Errors that a user can mend come as one line; defects keep their traceback."""

from __future__ import annotations

import inspect
import pkgutil
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import fakeface
from fakeface.base.errors import FakefaceError, one_line_errors

ROOT = Path(__file__).parents[2]
# These have command lines of their own, with exit codes of their own.
OWN_EXIT_CODES = {"CannotCompareError", "TableError"}


def test_a_known_error_ends_the_script_with_its_message() -> None:
    with pytest.raises(SystemExit, match="error: the plate is empty"), one_line_errors():
        raise FakefaceError("the plate is empty")


def test_a_defect_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors():
        print(1 // 0)


def test_every_error_of_the_package_is_one_that_scripts_report() -> None:
    modules = [
        import_module(module.name)
        for module in pkgutil.walk_packages(fakeface.__path__, "fakeface.")
        if not module.name.endswith("__main__")
    ]
    errors = {
        error
        for module in modules
        for _, error in inspect.getmembers(module, inspect.isclass)
        if issubclass(error, Exception) and error.__module__.startswith("fakeface")
    }
    assert len(errors) > 15
    strangers = {error.__name__ for error in errors if not issubclass(error, FakefaceError)}
    assert strangers == OWN_EXIT_CODES


# They have no params.
WITHOUT_PARAMS = {"face_model.py", "report.py"}
WRONG = "margin: -1\nmargn: 2\n"
TRAIN_GAN = ["--gan", "dcgan", "--params", "params.yaml", "--images", "x.npy"]


@pytest.mark.parametrize(
    "script", sorted({path.name for path in (ROOT / "pipeline").glob("*.py")} - WITHOUT_PARAMS)
)
def test_a_stage_reports_wrong_params_in_one_line(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: starting one each and loading PyTorch would take the most time of all tests."""
    (tmp_path / "params.yaml").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    path = str(ROOT / "pipeline" / script)
    monkeypatch.setattr(sys, "argv", [path, *(TRAIN_GAN if script == "train_gan.py" else ["dcgan"])])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(path, run_name="__main__")
    message = str(stopped.value.code)
    assert message.startswith("error: params.yaml:")
    assert "margn" in message
    assert [entry.name for entry in tmp_path.iterdir()] == ["params.yaml"]


def test_a_script_prints_wrong_params_and_ends_with_code_1(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(WRONG)
    done = subprocess.run(
        [sys.executable, str(ROOT / "pipeline" / "evaluate.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml:")
    assert "margn" in done.stderr
    assert "Traceback" not in done.stderr
