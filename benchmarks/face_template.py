"""Where the face finder sees the landmarks of aligned CelebA photographs: python benchmarks/face_template.py

Prints the medians over celeba-mini that fakeface.data.faces.TEMPLATE holds. Run `dvc repro face_model
download` first.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from fakeface.data.archives import open_archive
from fakeface.data.faces import FaceFinder
from fakeface.data.preprocess import decode

if __name__ == "__main__":
    finder = FaceFinder("models/faces.onnx")
    with open_archive("data/raw/images.zip") as archive:
        found = [finder.find(decode(content)) for _, content in tqdm(archive, disable=None)]
    landmarks = np.array([faces[0].landmarks for faces in found if len(faces) == 1])
    middle = np.median(landmarks, axis=0)
    print(f"{len(landmarks)} of {len(found)} photographs have one face")
    print("medians of (x, y):", middle.round(1).tolist())
    print("median distance from them:", np.median(np.abs(landmarks - middle), axis=0).round(1).tolist())
