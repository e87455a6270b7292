"""Generators: architectures, training recipes, loaders and sampling."""
