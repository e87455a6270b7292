"""Judge the detector on test images corrupted in known ways: python pipeline/robustness.py"""

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import device_name, make_fabric, write_figures
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split
from fakeface.detector.detector import Detector
from fakeface.evaluation.robustness import robustness_headline, robustness_metrics
from fakeface.params import load_params
from fakeface.reporting.charts import write_picture, write_rows

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
        headline = robustness_headline(metrics)
        write_figures("robustness", params, metrics, headline, device=device_name(fabric.device))
        print(stage_output.robustness(metrics, headline))
