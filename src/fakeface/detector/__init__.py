"""The detector: batches, both trainings, the decision rule, and the bundle that people load."""
