"""Train what ours is compared with on one fold: python pipeline/baselines.py dcgan"""

import sys
from pathlib import Path

from fakeface.errors import one_line_errors
from fakeface.evaluation.compared import score_compared
from fakeface.evaluation.folds import gan_fold
from fakeface.params import load_params
from fakeface.runtime import make_fabric

if __name__ == "__main__":
    with one_line_errors():
        gan = sys.argv[1]
        params = load_params()
        fold = gan_fold(params, gan)
        scores = score_compared(params, fold, Path("data/real"), Path("data/fake"), make_fabric(params))
        scores.write(Path("data/baselines") / gan)
