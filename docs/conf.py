"""Sphinx: sphinx-build -W docs build/docs"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated  # noqa: E402 (beside this file)

import fakeface  # noqa: E402

project = "fakeface"
version = release = fakeface.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "fakeface"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
# Not needed to read docstrings, and not there without the extras.
autodoc_mock_imports = ["gradio", "limits", "diffusers"]
nitpicky = False

generated.write_all(HERE)
