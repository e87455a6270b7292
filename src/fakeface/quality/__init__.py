"""Quality of fake image sets: Frechet distance, Inception Score, KID, precision and recall."""
