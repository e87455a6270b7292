"""Margins, losses, networks and curated fakes compared as DVC experiments."""
