"""Fetch the photographs that params.yaml names: python pipeline/download.py"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.data.sources import download
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        download(load_params(), Path("data/raw"))
