"""Train what ours is compared with on one fold of pipeline/leave_one_out.py:

python pipeline/baselines.py dcgan
python pipeline/baselines.py --upsampler nearest
"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import make_fabric
from fakeface.data.image_sets import Folders
from fakeface.evaluation.folds import read_fold
from fakeface.evaluation.leave_one_out import score_compared
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fold, by_upsampler = read_fold(params)
        folder = "baselines_upsampler" if by_upsampler else "baselines"
        scores = score_compared(params, fold, Folders(), make_fabric(params))
        scores.write(Path("data") / folder / fold.name)
