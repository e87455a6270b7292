"""One module a source of pretrained generators; ``fakeface.gans.registry`` knows them by name."""
