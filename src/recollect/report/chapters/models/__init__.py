"""Chapter: what the models of a grid know, and how alike they react to the same data."""
