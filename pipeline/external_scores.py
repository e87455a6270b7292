"""Score one external set, on which nothing may train: python pipeline/external_scores.py SET"""

import argparse

import pandas as pd

from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import make_fabric
from fakeface.data.collect import write_table
from fakeface.data.faces import FRAMINGS
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split, load_training
from fakeface.detector.detector import Detector
from fakeface.evaluation.evaluate import predict_protocols
from fakeface.evaluation.external import prepare_set, refuse_training_images
from fakeface.params import load_params

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", help="a key of external in params.yaml")
    with one_line_errors():
        name = parser.parse_args().set
        params = load_params()
        settings = params.external[name]
        detector = Detector.load("models/cffn.safetensors", "models/cn.safetensors", make_fabric(params))
        prepared = prepare_set(
            name,
            settings.path,
            params.image_size,
            align=settings.align,
            framing=FRAMINGS[params.data.framing],
        )
        folders = Folders()
        for data in (
            load_training(folders, params.training_gans),
            load_split(folders.real, folders.fake, params.training_gans, "val"),
        ):
            refuse_training_images(prepared, data.sets)
        predictions = predict_protocols(params, detector, prepared.as_data())
        scores = {f"score_{key}": predicted.scores.round(6) for key, predicted in predictions.items()}
        write_table(pd.DataFrame({"name": prepared.files["name"], **scores}), f"reports/external/{name}.csv")
        print(f"{name}: {len(prepared.images)} pictures judged, {len(prepared.rejected)} left out")
