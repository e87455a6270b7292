"""Unseen GANs within the training GANs, to choose settings by: python pipeline/nested_validation.py"""

from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.base.runtime import device_name, make_fabric, provenance
from fakeface.data.image_sets import Folders
from fakeface.evaluation.compare import nested_metrics
from fakeface.evaluation.folds import nested_folds, nested_upsampler_folds
from fakeface.evaluation.leave_one_out import score_nested
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params, parallel=True)
        by_gan, by_upsampler = (
            score_nested(params, folds, Folders(), fabric)
            for folds in (nested_folds(params), nested_upsampler_folds(params))
        )
        if fabric.is_global_zero:
            metrics = provenance(params, device_name(fabric.device)) | nested_metrics(by_gan, by_upsampler)
            write_json("metrics/nested_validation.json", metrics)
