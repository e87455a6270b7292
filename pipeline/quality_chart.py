"""KID of every fake set in one file, for `dvc plots`: python pipeline/quality_chart.py"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.data.collect import remove_others
from fakeface.metrics.quality import write_chart
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        gans = list(load_params().gans)
        remove_others("metrics/quality", gans)
        write_chart("plots/quality.json", Path("metrics/quality"), gans)
