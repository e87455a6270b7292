"""One self-contained HTML page with everything that was measured."""
