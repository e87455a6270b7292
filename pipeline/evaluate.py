"""Judge the detector on the test split, GAN by GAN, under three protocols: python pipeline/evaluate.py"""

from pathlib import Path

from fakeface.atomic import write_json
from fakeface.data.collect import write_table
from fakeface.detector.dataset import load_split
from fakeface.detector.scoring import Detector
from fakeface.errors import one_line_errors
from fakeface.evaluation.evaluate import evaluation_metrics, prediction_table
from fakeface.evaluation.pictures import write_pictures
from fakeface.evaluation.predict import predict_protocols
from fakeface.params import load_params
from fakeface.provenance import provenance
from fakeface.runtime import device_name, make_fabric

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params, parallel=True)
        detector = Detector.load("models/cffn.safetensors", "models/cn.safetensors", fabric)
        test = load_split(Path("data/real"), Path("data/fake"), list(params.gans), "test")
        predictions = predict_protocols(params, detector, test)
        if fabric.is_global_zero:
            lower = detector.lower_threshold
            metrics = evaluation_metrics(params, detector.threshold, test, predictions, lower_threshold=lower)
            write_table(prediction_table(test, predictions), "data/predictions.csv")
            write_pictures(
                Path("plots/evaluation"), params, detector.threshold, test, predictions, lower_threshold=lower
            )
            write_json("metrics/evaluation.json", provenance(params, device_name(fabric.device)) | metrics)
