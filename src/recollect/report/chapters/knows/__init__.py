"""The chapter on what the base knows."""
