"""fakeface: train, measure and explain a detector of GAN-made face photographs."""

import atexit
import gc
import os

# Read by OpenMP when PyTorch is loaded, so this must come first. By default its threads spin at barriers:
# as soon as anything else runs on the machine, they take the processor from the thread that they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# At the end of a process Python looks for cycles among all objects. Those of PyTorch's modules are a million:
# that takes most of a second, for memory that the system frees anyway. Frozen objects are not looked at.
atexit.register(gc.freeze)

__version__ = "0.2.0"
