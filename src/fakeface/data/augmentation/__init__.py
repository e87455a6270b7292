"""What is done to an image before it trains or tests a network."""
