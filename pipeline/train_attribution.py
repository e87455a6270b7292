"""Learn which GAN made a fake, and test it: python pipeline/train_attribution.py"""

from fakeface.atomic import write_json
from fakeface.attribution.evaluate import attribution_metrics
from fakeface.attribution.head_file import save_head
from fakeface.attribution.train import attribution_data
from fakeface.data.collect import write_table
from fakeface.data.folders import Folders
from fakeface.detector.weights import load_cffn
from fakeface.errors import one_line_errors
from fakeface.params import load_params
from fakeface.provenance import provenance
from fakeface.runtime import device_name, make_fabric

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params)
        cffn, _ = load_cffn("models/cffn.safetensors")
        data = attribution_data(params, cffn, Folders(), fabric)
        head, metrics, confusion = attribution_metrics(params, data)
        save_head("models/attribution.safetensors", head)
        write_table(confusion, "plots/attribution/confusion.csv")
        write_json("metrics/attribution.json", provenance(params, device_name(fabric.device)) | metrics)
