"""Errors that a user can mend come as one line; defects keep their traceback."""

from __future__ import annotations

import inspect
import pkgutil
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


@pytest.mark.parametrize(
    "script", sorted({path.name for path in (ROOT / "pipeline").glob("*.py")} - WITHOUT_PARAMS)
)
def test_a_stage_reports_wrong_params_in_one_line(script: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("margin: -1\nmargn: 2\n")
    arguments = {"train_gan.py": ["--gan", "dcgan", "--params", "params.yaml", "--images", "x.npy"]}
    done = subprocess.run(
        [sys.executable, str(ROOT / "pipeline" / script), *arguments.get(script, ["dcgan"])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml:")
    assert "margn" in done.stderr
    assert "Traceback" not in done.stderr
