"""Score one external set, on which nothing may train: python pipeline/external_scores.py SET"""

import argparse

from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import make_fabric
from fakeface.data.collect import write_table
from fakeface.data.image_sets import Folders
from fakeface.detector.detector import Detector
from fakeface.evaluation.external import score_external
from fakeface.params import load_params

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", help="a key of external in params.yaml")
    with one_line_errors():
        name = parser.parse_args().set
        params = load_params()
        detector = Detector.load("models/cffn.safetensors", "models/cn.safetensors", make_fabric(params))
        table, prepared = score_external(params, name, detector, Folders())
        write_table(table, f"reports/external/{name}.csv")
        print(f"{name}: {len(table)} pictures judged, {len(prepared.rejected)} left out")
