"""Photographs and image sets: fetched, decoded, prepared, corrupted, split."""
