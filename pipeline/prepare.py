"""Preprocess and split the photographs: python pipeline/prepare.py"""

import logging
from pathlib import Path

from fakeface.atomic import write_json
from fakeface.data.prepare import prepare
from fakeface.errors import one_line_errors
from fakeface.params import load_params
from fakeface.provenance import provenance

if __name__ == "__main__":
    with one_line_errors():
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        params = load_params()
        counts = prepare(Path("data/raw"), Path("data/real"), params)
        write_json("metrics/data.json", provenance(params) | counts)
