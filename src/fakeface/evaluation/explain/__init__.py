"""What the features learnt: heatmaps, worst errors, spectra of residuals, embeddings by split."""
