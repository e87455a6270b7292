"""The trainer of this project's own generators."""
