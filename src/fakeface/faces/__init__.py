"""Faces in a picture from life: found, and laid over CelebA's template like the photographs of training."""
