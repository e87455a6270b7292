"""Write the detector as ONNX and compare it with PyTorch on the test split: python pipeline/export.py"""

from tqdm import tqdm

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import write_figures
from fakeface.bundle.bundle import load_networks
from fakeface.bundle.export import TOLERANCE, check_export, write_onnx
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        detector = load_networks("models/detector", "cpu").detector
        write_onnx(detector, "models/detector.onnx")
        folders = Folders()
        test = load_split(folders.real, folders.fake, list(params.gans), "test")
        step = params.evaluate.batch_size
        starts = tqdm(range(0, len(test), step), desc="export", disable=None)
        batches = (test.images(range(start, min(start + step, len(test)))) for start in starts)
        worst = check_export(detector, "models/detector.onnx", batches)
        metrics = {"n_images": len(test), "max_score_difference": worst, "tolerance": TOLERANCE}
        write_figures("export", params, metrics, {"max_score_difference": worst})
        print(stage_output.export(metrics, "models/detector.onnx"))
