"""Preprocess and split the photographs: python pipeline/prepare.py"""

import logging
from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import write_figures
from fakeface.data.prepare import prepare
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        params = load_params()
        counts = prepare(Path("data/raw"), Path("data/real"), params)
        numbers = {name: count for name, count in counts.items() if name != "source"}
        write_figures("data", params, counts, numbers)
        print(stage_output.data(counts))
