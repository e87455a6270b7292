"""The web page that judges pictures."""
