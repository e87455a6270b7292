"""The embedding split by split: what training pulled apart, and what of it holds for other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

import numpy as np
from sklearn.decomposition import PCA

from fakeface.evaluation.explain.judged import HEADLINE, REAL, Judged
from fakeface.evaluation.figures import colours, new_figure, write_png


def write_embedding_splits(
    path: str | PathLike[str],
    splits: Mapping[str, Judged],
    gans: Sequence[str],
    held_out: Sequence[str],
) -> None:
    """A PNG with one panel a split: the embedding on the first two principal components of the first split.

    Args:
        path: of the PNG.
        splits: by name, the one that the components are fitted to first.
        gans: in the order of the legend and of the colours.
        held_out: GANs that training never saw, drawn as crosses.

    Raises:
        ValueError: if the first split has fewer than 3 images.
    """
    fitted_name, fitted = next(iter(splits.items()))
    if len(fitted.embeddings) < 3:
        raise ValueError(f"split {fitted_name} must have 3 or more images, got {len(fitted.embeddings)}")
    pca = PCA(n_components=2, svd_solver="full").fit(fitted.embeddings.astype(np.float64))
    figure = new_figure(4.2 * len(splits) + 2.0, 4.9)
    panels = np.atleast_1d(figure.subplots(1, len(splits), sharex=True, sharey=True))
    palette = colours(gans)
    marks = {}
    # Unseen GANs come last, on top of those that they fall among.
    order = [REAL, *sorted(gans, key=lambda gan: gan in held_out)]
    for panel, (name, judged) in zip(panels, splits.items(), strict=True):
        flat = pca.transform(judged.embeddings.astype(np.float64))
        for source in order:
            here = flat[judged.sources == source]
            if not len(here):
                continue
            unseen = source in held_out
            label = "photographs" if source == REAL else f"{source} ({'unseen' if unseen else 'seen'})"
            marks[label] = panel.scatter(
                here[:, 0],
                here[:, 1],
                marker="x" if unseen else "o",
                s=22 if unseen else 13,
                linewidths=1.0 if unseen else 0,
                color=palette[source],
                alpha=0.75,
            )
        n_real = int((judged.sources == REAL).sum())
        panel.set_title(f"{name}: {n_real} photographs, {len(flat) - n_real} fakes", fontsize=11)
        panel.set_xlabel(f"first component of {fitted_name} ({pca.explained_variance_ratio_[0]:.1%})")
    panels[0].set_ylabel(f"second component ({pca.explained_variance_ratio_[1]:.1%})")
    figure.legend(
        list(marks.values()), list(marks), loc="outside right center", frameon=False, markerscale=1.6
    )
    figure.suptitle(f"CFFN embedding, split by split (protocol {HEADLINE})", fontsize=13)
    figure.supxlabel(
        f"Axes of all panels: the two principal components of the {fitted_name} panel, with their share of "
        "its variance. Dots: photographs and the GANs of the training.\nCrosses: GANs that training never "
        "saw, in the test alone; those among the photographs are hard to catch.",
        fontsize=9,
    )
    write_png(path, figure)
