"""Train what ours is compared with without one upsampler: python pipeline/baselines_upsampler.py nearest"""

import sys
from pathlib import Path

from fakeface.errors import one_line_errors
from fakeface.evaluation.compared import score_compared
from fakeface.evaluation.folds import upsampler_fold
from fakeface.params import load_params
from fakeface.runtime import make_fabric

if __name__ == "__main__":
    with one_line_errors():
        upsampler = sys.argv[1]
        params = load_params()
        fold = upsampler_fold(params, upsampler)
        scores = score_compared(params, fold, Path("data/real"), Path("data/fake"), make_fabric(params))
        scores.write(Path("data/baselines_upsampler") / upsampler)
