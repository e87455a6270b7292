"""Make one GAN's fake sets and gallery: python pipeline/generate.py dcgan"""

import sys
from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.gans.generate import generate
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        gan = sys.argv[1]
        counts = generate(gan, load_params(), Path("data/fake") / gan, Path("plots/gallery") / f"{gan}.png")
        print(stage_output.generated(counts))
