"""Probes for shortcuts: could a classifier tell the classes by anything but how the images were made?

Each probe returns a plain dict for a metrics file, with the number of images behind every figure; what is
undefined is None, with the reason in ``undefined``. An AUROC near 0.5 is the absence of a leak.
"""
