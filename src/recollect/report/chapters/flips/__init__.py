"""The chapter on which answers flipped."""
