"""Figures: scores with intervals, and the quality of image sets."""
