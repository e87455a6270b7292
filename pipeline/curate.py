"""List the training fakes that the detector learns from: python pipeline/curate.py"""

from fakeface.atomic import write_json
from fakeface.curation.curate import curate
from fakeface.data.folders import Folders
from fakeface.errors import one_line_errors
from fakeface.params import load_params
from fakeface.provenance import provenance

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        metrics = curate(params, Folders())
        write_json("metrics/curation.json", provenance(params) | metrics)
