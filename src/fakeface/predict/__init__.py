"""Verdicts on pictures that people bring: read, faces found and aligned, scored, explained."""
