"""A web page on this machine: drop a picture, see its faces, verdicts and where the evidence lies."""
