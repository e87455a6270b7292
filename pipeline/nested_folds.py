"""Train folds among the training GANs and score validation images: python pipeline/nested_folds.py"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.files import atomic_directory
from fakeface.base.runtime import make_fabric
from fakeface.data.image_sets import Folders
from fakeface.evaluation.leave_one_out import score_nested
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params, parallel=True)
        nested = score_nested(params, Folders(), fabric)
        if fabric.is_global_zero:
            with atomic_directory(Path("data/nested_validation")) as folder:
                for kind, folds in nested.items():
                    for name, scores in folds.items():
                        scores.write(folder / kind / name)
