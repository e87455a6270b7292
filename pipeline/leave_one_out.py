"""Train our detector on all GANs but one, or but those of one upsampler, and test it on what is left out:

python pipeline/leave_one_out.py dcgan
python pipeline/leave_one_out.py --upsampler nearest
"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.base.runtime import device_name, make_fabric, provenance
from fakeface.data.image_sets import Folders
from fakeface.evaluation.compare import DETECTOR, fold_metrics
from fakeface.evaluation.folds import read_fold
from fakeface.evaluation.leave_one_out import score_detector
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params, parallel=True)
        fold, by_upsampler = read_fold(params)
        folder = "leave_one_upsampler_out" if by_upsampler else "leave_one_out"
        scores = score_detector(params, fold, Folders(), fabric)
        if fabric.is_global_zero:
            scores.write(Path("data") / folder / fold.name)
            facts = {"held_out": fold.name}
            if not by_upsampler:
                facts |= params.gans[fold.name].model_dump(include={"architecture", "upsampler"})
            metrics = provenance(params, device_name(fabric.device)) | facts
            metrics |= fold_metrics(params, fold, scores, DETECTOR)
            write_json(f"metrics/{folder}/{fold.name}.json", metrics)
