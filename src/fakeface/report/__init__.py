"""One HTML page with everything that a run measured; needs no network and no other file."""
