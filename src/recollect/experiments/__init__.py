"""Ways to choose what to train: a grid (study), sizes (curve), settings (search)."""
