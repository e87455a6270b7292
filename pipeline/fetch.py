"""Fetch one image set out of a Git repository, at a pinned revision: python pipeline/fetch.py SET"""

import argparse
from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.data.repositories import fetch_set
from fakeface.params import FETCHED, load_params

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", help="a key of repositories in params.yaml")
    with one_line_errors():
        name = parser.parse_args().set
        facts = fetch_set(name, load_params().repositories[name], Path(FETCHED) / f"{name}.zip")
        write_json(Path("reports/fetched") / f"{name}.json", facts)
        print(stage_output.fetched(name, facts))
