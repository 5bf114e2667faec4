"""Chapter: the studies of a grid, in a short table."""
