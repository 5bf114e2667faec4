"""The chapter on how many examples."""
