"""Train the common fake feature network on pairs:

python pipeline/train_cffn.py
torchrun --nproc_per_node=N pipeline/train_cffn.py
"""

from fakeface.atomic import write_json
from fakeface.data.folders import Folders
from fakeface.detector.dataset import load_split, load_training
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.detector.weights import save_cffn
from fakeface.errors import one_line_errors
from fakeface.params import load_params
from fakeface.provenance import provenance
from fakeface.runtime import device_name, make_fabric
from fakeface.tracking import live_curves

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params, parallel=True)
        folders = Folders()
        train = load_training(folders, params.training_gans)
        val = load_split(folders.real, folders.fake, params.training_gans, "val")
        with live_curves("plots/cffn", fabric) as log_epoch:
            trainer = CffnTrainer(params, train, val, fabric, log_epoch)
            result = trainer.fit()
        if fabric.is_global_zero:
            save_cffn("models/cffn.safetensors", result.cffn, params.image_size)
            write_json("metrics/cffn.json", provenance(params, device_name(fabric.device)) | result.metrics)
            trainer.checkpoint.discard()
