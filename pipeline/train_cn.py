"""Train the classification network on frozen CFFN features:

python pipeline/train_cn.py
torchrun --nproc_per_node=N pipeline/train_cn.py
"""

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import device_name, live_curves, make_fabric, write_figures
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split, load_training
from fakeface.detector.detector import save_cn
from fakeface.detector.train_cn import train_cn
from fakeface.models.weights import load_cffn
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params, parallel=True)
        folders = Folders()
        train = load_training(folders, params.training_gans)
        val = load_split(folders.real, folders.fake, params.training_gans, "val")
        cffn, _ = load_cffn("models/cffn.safetensors")
        with live_curves("plots/cn", fabric) as log_epoch:
            result = train_cn(params, cffn, train, val, fabric, log_epoch)
        if fabric.is_global_zero:
            save_cn("models/cn.safetensors", result.cn, result.rule)
            headline = {name: result.metrics[name] for name in ("best_epoch", "best_val_loss", "threshold")}
            write_figures("cn", params, result.metrics, headline, device=device_name(fabric.device))
            print(stage_output.cn(result.metrics))
