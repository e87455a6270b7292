"""The pairwise detector: networks, contrastive training, classification, scoring."""
