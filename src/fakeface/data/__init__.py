"""From archives of photographs to packed, split, laundered image sets."""
