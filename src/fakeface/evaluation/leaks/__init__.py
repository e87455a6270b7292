"""Probes for shortcuts between the classes, and the gate on them."""
