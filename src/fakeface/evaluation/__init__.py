"""How good the detector is: test split, folds, baselines, robustness, leaks, explanations, attribution."""
