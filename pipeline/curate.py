"""List the training fakes that the detector learns from: python pipeline/curate.py"""

from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import write_figures
from fakeface.data.image_sets import Folders, set_aside
from fakeface.metrics.curation import curate
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        set_aside(Folders().fake, params.gans)
        write_figures("curation", params, curate(params, Folders()))
