"""Train our detector without all GANs of one upsampler: python pipeline/leave_one_upsampler_out.py nearest"""

import sys
from pathlib import Path

from fakeface.atomic import write_json
from fakeface.errors import one_line_errors
from fakeface.evaluation.fold_metrics import DETECTOR, fold_metrics
from fakeface.evaluation.folds import upsampler_fold
from fakeface.evaluation.leave_one_out import score_detector
from fakeface.params import load_params
from fakeface.provenance import provenance
from fakeface.runtime import device_name, make_fabric

if __name__ == "__main__":
    with one_line_errors():
        upsampler = sys.argv[1]
        params = load_params()
        fabric = make_fabric(params)
        fold = upsampler_fold(params, upsampler)
        scores = score_detector(params, fold, Path("data/real"), Path("data/fake"), fabric)
        scores.write(Path("data/leave_one_upsampler_out") / upsampler)
        metrics = provenance(params, device_name(fabric.device)) | {"held_out": upsampler}
        metrics |= fold_metrics(params, fold, scores, DETECTOR)
        write_json(f"metrics/leave_one_upsampler_out/{upsampler}.json", metrics)
