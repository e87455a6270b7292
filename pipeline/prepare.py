"""Preprocess and split the photographs: python pipeline/prepare.py"""

import logging
from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.base.runtime import provenance
from fakeface.data.prepare import prepare
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        params = load_params()
        counts = prepare(Path("data/raw"), Path("data/real"), params)
        write_json("metrics/data.json", provenance(params) | counts)
