"""The detector over any number of pictures: in shards, resumable, in several processes or on a cluster."""
