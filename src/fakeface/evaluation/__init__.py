"""Scores, intervals, pictures and tables of a trained detector."""
