"""Measure one GAN's fakes against the training photographs: python pipeline/quality.py dcgan"""

import sys
from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.base.runtime import make_fabric
from fakeface.metrics.quality import measure
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        gan = sys.argv[1]
        params = load_params()
        device = make_fabric(params).device
        metrics = measure(gan, params, Path("data/real/train"), Path("data/fake") / gan / "test", device)
        write_json(f"metrics/quality/{gan}.json", metrics)
