"""List the training fakes that the detector learns from: python pipeline/curate.py"""

from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.base.runtime import provenance
from fakeface.data.collect import remove_others
from fakeface.data.image_sets import Folders
from fakeface.metrics.curation import curate
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        folders = Folders()
        remove_others(folders.fake, params.gans)
        metrics = curate(params, folders)
        write_json("metrics/curation.json", provenance(params) | metrics)
