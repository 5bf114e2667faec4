"""The chapter on the data curve."""
