"""What people type: predict, score, export, demo."""
