"""Beneath everything: errors, files, downloads, devices and processes."""
