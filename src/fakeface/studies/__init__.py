"""Settings compared as DVC experiments, by unseen GANs of the validation split."""
