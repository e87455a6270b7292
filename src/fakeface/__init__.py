"""fakeface: train, measure and explain a detector of GAN-made face photographs."""

import os

# Read by OpenMP when PyTorch is loaded, so this must come first. By default its threads spin at barriers:
# as soon as anything else runs on the machine, they take the processor from the thread that they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.2.0"
