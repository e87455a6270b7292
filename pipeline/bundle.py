"""Put the trained detector into one folder, with a model card: python pipeline/bundle.py"""

from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.bundle.write import write_bundle
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        write_bundle(
            load_params(),
            cffn=Path("models/cffn.safetensors"),
            cn=Path("models/cn.safetensors"),
            attribution=Path("models/attribution.safetensors"),
            faces=Path("models/faces.onnx"),
            training_table=Path("data/training.csv"),
            evaluation=Path("reports/evaluation.json"),
            attribution_metrics=Path("reports/attribution.json"),
            out=Path("models/detector"),
        )
        print(stage_output.bundle("models/detector"))
