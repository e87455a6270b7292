"""What the folds among the training GANs say, to choose settings by: python pipeline/nested_validation.py"""

from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import write_figures
from fakeface.evaluation.compare import nested_headline, nested_report, read_folds
from fakeface.evaluation.folds import nested_folds
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        nested = {
            kind: read_folds([fold.name for fold in folds], Path("data/nested_validation") / kind)
            for kind, folds in nested_folds(params).items()
        }
        report = nested_report(nested)
        write_figures("nested_validation", params, report, nested_headline(report))
        print(stage_output.nested(report))
