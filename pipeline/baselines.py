"""Train what ours is compared with on one fold of pipeline/leave_one_out.py:

python pipeline/baselines.py dcgan
python pipeline/baselines.py --upsampler nearest
"""

from pathlib import Path

from fakeface.data.folders import Folders
from fakeface.errors import one_line_errors
from fakeface.evaluation.compared import score_compared
from fakeface.evaluation.fold_command import read_fold
from fakeface.params import load_params
from fakeface.runtime import make_fabric

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fold, by_upsampler = read_fold(params)
        folder = "baselines_upsampler" if by_upsampler else "baselines"
        scores = score_compared(params, fold, Folders(), make_fabric(params))
        scores.write(Path("data") / folder / fold.name)
