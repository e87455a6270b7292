"""The detector as one ONNX file, for programs without PyTorch."""
