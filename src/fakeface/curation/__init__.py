"""Which of a GAN's training fakes are worth learning from."""
