"""KID of every fake set in one file, for `dvc plots`: python pipeline/quality_chart.py"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.evaluation.figures import write_quality_chart
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        write_quality_chart("plots/quality.json", Path("reports/quality"), list(load_params().gans))
