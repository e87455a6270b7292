"""Train what ours is compared with on one fold of pipeline/leave_one_out.py, and score what is left out:

python pipeline/baselines.py dcgan
python pipeline/baselines.py nearest
"""

import sys
from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import make_fabric
from fakeface.data.image_sets import Folders
from fakeface.evaluation.baselines import score_compared
from fakeface.evaluation.folds import make_fold
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fold = make_fold(params, sys.argv[1])
        scores = score_compared(params, fold, Folders(), make_fabric(params))
        scores.write(Path("data/baselines") / fold.name)
