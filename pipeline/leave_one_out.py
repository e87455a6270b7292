"""Train our detector on all GANs but one and test it on that one: python pipeline/leave_one_out.py dcgan"""

import sys
from pathlib import Path

from fakeface.atomic import write_json
from fakeface.errors import one_line_errors
from fakeface.evaluation.fold_metrics import DETECTOR, fold_metrics
from fakeface.evaluation.folds import gan_fold
from fakeface.evaluation.leave_one_out import score_detector
from fakeface.params import load_params
from fakeface.provenance import provenance
from fakeface.runtime import device_name, make_fabric

if __name__ == "__main__":
    with one_line_errors():
        gan = sys.argv[1]
        params = load_params()
        fabric = make_fabric(params)
        fold = gan_fold(params, gan)
        scores = score_detector(params, fold, Path("data/real"), Path("data/fake"), fabric)
        scores.write(Path("data/leave_one_out") / gan)
        facts = {
            "held_out": gan,
            "architecture": params.gans[gan].architecture,
            "upsampler": params.gans[gan].upsampler,
        }
        metrics = provenance(params, device_name(fabric.device)) | facts
        metrics |= fold_metrics(params, fold, scores, DETECTOR)
        write_json(f"metrics/leave_one_out/{gan}.json", metrics)
