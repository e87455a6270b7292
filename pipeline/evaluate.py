"""Judge the detector on the test split, GAN by GAN, under three protocols: python pipeline/evaluate.py"""

from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import device_name, make_fabric, write_figures
from fakeface.data.collect import write_table
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split
from fakeface.detector.detector import Detector
from fakeface.evaluation.evaluate import (
    evaluation_headline,
    evaluation_metrics,
    predict_protocols,
    prediction_table,
)
from fakeface.params import load_params
from fakeface.reporting.plots import write_pictures

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params, parallel=True)
        detector = Detector.load("models/cffn.safetensors", "models/cn.safetensors", fabric)
        folders = Folders()
        test = load_split(folders.real, folders.fake, list(params.gans), "test")
        predictions = predict_protocols(params, detector, test)
        if fabric.is_global_zero:
            lower = detector.rule.lower_threshold
            metrics = evaluation_metrics(
                params, detector.rule.threshold, test, predictions, lower_threshold=lower
            )
            write_table(prediction_table(test, predictions), folders.root / "predictions.csv")
            write_pictures(
                Path("plots/evaluation"),
                params,
                detector.rule.threshold,
                test,
                predictions,
                lower_threshold=lower,
            )
            device = device_name(fabric.device)
            write_figures("evaluation", params, metrics, evaluation_headline(metrics), device=device)
            print(stage_output.evaluation(metrics))
