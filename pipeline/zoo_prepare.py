"""Preprocess and split the photographs that generators learn from, in the folder zoo:

python ../pipeline/zoo_prepare.py
"""

import logging
from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.zoo.recipes import load_zoo_params, prepare_photographs

if __name__ == "__main__":
    with one_line_errors():
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        print(prepare_photographs(load_zoo_params("params.yaml"), Path("data/real")))
