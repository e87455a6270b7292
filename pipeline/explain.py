"""What the features learnt, in pictures and a few figures: python pipeline/explain.py"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import device_name, make_fabric, write_figures
from fakeface.data.image_sets import Folders
from fakeface.detector.detector import Detector
from fakeface.evaluation.explain import explain
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params)
        detector = Detector.load("models/cffn.safetensors", "models/cn.safetensors", fabric)
        metrics = explain(params, detector, Folders(), Path("plots/explain"))
        write_figures("explain", params, metrics, device=device_name(fabric.device))
