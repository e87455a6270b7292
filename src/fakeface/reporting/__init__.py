"""Tables, plots, the report page and studies."""
