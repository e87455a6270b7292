"""Judge the detector on test images corrupted in known ways: python pipeline/robustness.py"""

from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.base.runtime import device_name, make_fabric, provenance
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split
from fakeface.detector.detector import Detector
from fakeface.evaluation.robustness import robustness_metrics
from fakeface.params import load_params
from fakeface.reporting.robustness_plots import write_picture, write_rows

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params)
        detector = Detector.load("models/cffn.safetensors", "models/cn.safetensors", fabric)
        folders = Folders()
        test = load_split(folders.real, folders.fake, list(params.gans), "test")
        metrics = robustness_metrics(params, detector, test)
        write_rows("plots/robustness.json", metrics)
        write_picture("plots/robustness.png", metrics)
        write_json("metrics/robustness.json", provenance(params, device_name(fabric.device)) | metrics)
