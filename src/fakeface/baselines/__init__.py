"""Published detectors that ours is compared with: same images, laundering and rule for the threshold."""
