"""Photographs and every GAN's fakes in one picture: python pipeline/contact_sheet.py"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.data.image_sets import Folders, ImageSet, set_aside
from fakeface.evaluation.figures import write_contact_sheet
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        set_aside(Folders().fake, params.gans)
        folders = {"photographs": Path("data/real")} | {gan: Path("data/fake") / gan for gan in params.gans}
        sets = {name: ImageSet.read(folder / "test").images for name, folder in folders.items()}
        write_contact_sheet(Path("plots/contact_sheet.png"), sets)
