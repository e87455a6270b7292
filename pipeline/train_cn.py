"""Train the classification network on frozen CFFN features:

python pipeline/train_cn.py
torchrun --nproc_per_node=N pipeline/train_cn.py
"""

from fakeface.atomic import write_json
from fakeface.data.folders import Folders
from fakeface.detector.cn_weights import save_cn
from fakeface.detector.dataset import load_split, load_training
from fakeface.detector.train_cn import train_cn
from fakeface.detector.weights import load_cffn
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
        cffn, _ = load_cffn("models/cffn.safetensors")
        with live_curves("plots/cn", fabric) as log_epoch:
            result = train_cn(params, cffn, train, val, fabric, log_epoch)
        if fabric.is_global_zero:
            save_cn(
                "models/cn.safetensors",
                result.cn,
                result.threshold,
                result.lower_threshold,
                result.calibration,
                result.reference,
            )
            write_json("metrics/cn.json", provenance(params, device_name(fabric.device)) | result.metrics)
