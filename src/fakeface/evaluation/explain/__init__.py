"""What the features learnt, in pictures."""
