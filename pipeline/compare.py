"""Over all folds: mean, worst, spread, and gains over each baseline: python pipeline/compare.py"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.base.runtime import provenance
from fakeface.data.collect import remove_others
from fakeface.evaluation.compare import baseline_metrics, chart_rows, comparison_metrics, read_folds
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        data = Path("data")
        for folder in ("leave_one_out", "baselines"):
            remove_others(data / folder, params.gans)
        by_gan = read_folds(list(params.gans), data / "leave_one_out", data / "baselines")
        by_upsampler = read_folds(
            params.leave_one_out.upsamplers, data / "leave_one_upsampler_out", data / "baselines_upsampler"
        )
        facts = provenance(params)
        write_json("metrics/leave_one_out.json", facts | comparison_metrics(params, by_gan, by_upsampler))
        write_json("metrics/baselines.json", facts | baseline_metrics(params, by_gan, by_upsampler))
        write_json("plots/leave_one_out.json", chart_rows(by_gan))
