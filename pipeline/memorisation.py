"""How close a zoo generator's fakes come to its training photographs; run in zoo/, see zoo/dvc.yaml:

python ../pipeline/memorisation.py dcgan
"""

import sys
from pathlib import Path

import numpy as np

from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.data.image_sets import ImageSet
from fakeface.gans.loaders.checkpoints import as_source
from fakeface.gans.weights import load_generator
from fakeface.zoo.memorisation import N_SAMPLES, measure_memorisation
from fakeface.zoo.recipes import load_recipe

if __name__ == "__main__":
    with one_line_errors():
        gan = sys.argv[1]
        load_recipe("params.yaml", gan)  # refuses what this zoo does not train
        source = as_source(gan, load_generator(f"../models/gans/{gan}.safetensors"))
        samples = np.concatenate(list(source.batches("test", N_SAMPLES, seed=0, batch_size=N_SAMPLES)))
        photographs = {split: ImageSet.read(Path("data/real") / split).images for split in ("train", "test")}
        picture = Path("memorisation") / f"{gan}.png"
        result = measure_memorisation(gan, samples, photographs["train"], photographs["test"], picture)
        write_json(f"metrics/memorisation/{gan}.json", result)
