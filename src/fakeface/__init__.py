"""fakeface: train, measure and explain a detector of GAN-made face photographs."""

__version__ = "0.2.0"
