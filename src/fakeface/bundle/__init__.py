"""A trained detector as one folder that people copy and run: its files, their checks, its ONNX form."""
