"""Over all folds: mean, worst, spread, and gains over each baseline: python pipeline/compare.py"""

from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.base.runtime import write_figures
from fakeface.data.image_sets import set_aside
from fakeface.evaluation.compare import (
    baselines_report,
    chart_rows,
    comparison_headline,
    comparison_report,
    read_folds,
)
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        roots = (Path("data/leave_one_out"), Path("data/baselines"))
        for root in roots:
            set_aside(root, params.leave_one_out.folds)
        folds = read_folds(params.leave_one_out.folds, *roots)
        report = comparison_report(params, folds)
        write_figures("leave_one_out", params, report, comparison_headline(report))
        write_figures("baselines", params, baselines_report(params, folds))
        write_json("plots/leave_one_out.json", chart_rows(params, folds))
        print(stage_output.comparison(report))
