"""Measure one GAN's fakes against the training photographs: python pipeline/quality.py dcgan"""

import sys
from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import device_name, make_fabric, write_figures
from fakeface.metrics.quality import measure, quality_headline
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        gan = sys.argv[1]
        params = load_params()
        device = make_fabric(params).device
        report = measure(gan, params, Path("data/real/train"), Path("data/fake") / gan / "test", device)
        name = f"quality/{gan}"
        write_figures(name, params, report, quality_headline(report), device=device_name(device))
        print(stage_output.quality(report))
