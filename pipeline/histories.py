"""Judge pictures of other processing histories, and try to tell these apart: python pipeline/histories.py"""

from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import device_name, make_fabric, write_figures
from fakeface.data.image_sets import SPLITS, Folders, ImageSet
from fakeface.detector.batches import load_split
from fakeface.detector.detector import Detector
from fakeface.evaluation.histories import histories_headline, histories_report
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params)
        detector = Detector.load("models/cffn.safetensors", "models/cn.safetensors", fabric)
        folders = Folders()
        test = load_split(folders.real, folders.fake, list(params.gans), "test")
        photographs = {split: ImageSet.read(folders.real / split) for split in SPLITS}
        report = histories_report(params, detector, photographs, test, Path("data/raw"))
        device = device_name(fabric.device)
        write_figures("histories", params, report, histories_headline(report), device=device)
        print(stage_output.histories(report))
