"""List the images of the experiment and refuse leaks between splits: python pipeline/collect.py"""

import pandas as pd

from fakeface.base.errors import one_line_errors
from fakeface.data.collect import (
    collect,
    set_digests,
    test_rows,
    training_rows,
    write_table,
)
from fakeface.data.image_sets import Folders, set_aside
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        folders = Folders()
        set_aside(folders.fake, params.gans)
        table = collect(folders, list(params.gans))
        write_table(training_rows(table, params.held_out), "data/training.csv")
        write_table(test_rows(table), "data/test.csv")
        write_table(set_digests(table, params.gans), "data/sets.csv")
        # Without a fold nothing else would be in the two folders that `compare` reads.
        for root in ("data/leave_one_out", "data/baselines"):
            write_table(pd.DataFrame({"fold": params.leave_one_out.folds}), f"{root}/folds.csv")
