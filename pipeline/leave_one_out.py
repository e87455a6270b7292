"""Train our detector without one GAN, or without those of one upsampler, and score what is left out:

python pipeline/leave_one_out.py dcgan
python pipeline/leave_one_out.py nearest
"""

import sys
from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import make_fabric
from fakeface.data.image_sets import Folders
from fakeface.evaluation.folds import make_fold
from fakeface.evaluation.leave_one_out import score_detector
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params, parallel=True)
        fold = make_fold(params, sys.argv[1])
        scores = score_detector(params, fold, Folders(), fabric)
        if fabric.is_global_zero:
            scores.write(Path("data/leave_one_out") / fold.name)
