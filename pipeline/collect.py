"""List every image of the experiment and refuse leaks between splits: python pipeline/collect.py"""

from pathlib import Path

from fakeface.data.collect import collect, write_collected
from fakeface.params import load_params

if __name__ == "__main__":
    params = load_params()
    table = collect(Path("data/real"), Path("data/fake"), list(params.gans))
    write_collected(table, Path("data/manifest.csv"))
