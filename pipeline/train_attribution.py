"""Learn which GAN made a fake, and test it: python pipeline/train_attribution.py"""

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import device_name, make_fabric, write_figures
from fakeface.data.collect import write_table
from fakeface.data.image_sets import Folders
from fakeface.detector.attribution_head import save_head
from fakeface.evaluation.attribution import attribution_headline, fit_attribution
from fakeface.models.weights import load_cffn
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        fabric = make_fabric(params)
        cffn, _ = load_cffn("models/cffn.safetensors")
        head, metrics, confusion = fit_attribution(params, cffn, Folders(), fabric)
        save_head("models/attribution.safetensors", head)
        write_table(confusion, "plots/attribution/confusion.csv")
        device = device_name(fabric.device)
        write_figures("attribution", params, metrics, attribution_headline(metrics), device=device)
        print(stage_output.attribution(metrics))
