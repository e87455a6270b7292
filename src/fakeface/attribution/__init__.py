"""Which of the known generators made a fake, or none of them."""
