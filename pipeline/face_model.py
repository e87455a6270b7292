"""Fetch the detector that finds faces in pictures from life: python pipeline/face_model.py"""

from fakeface.base.errors import one_line_errors
from fakeface.data.faces import write_face_model

if __name__ == "__main__":
    with one_line_errors():
        write_face_model("models/faces.onnx")
