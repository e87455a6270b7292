"""Train the common fake feature network on pairs:

python pipeline/train_cffn.py
torchrun --nproc_per_node=N pipeline/train_cffn.py
"""

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import device_name, live_curves, make_fabric, write_figures
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split, load_training
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.models.weights import save_cffn
from fakeface.params import load_params

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
            headline = {name: result.metrics[name] for name in ("best_epoch", "best_val_loss")}
            write_figures("cffn", params, result.metrics, headline, device=device_name(fabric.device))
            print(stage_output.cffn(result.metrics))
            trainer.checkpoint.discard()
