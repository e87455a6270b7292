"""A trained detector as one folder: weights, thresholds, what it was trained on, and how well it does."""
