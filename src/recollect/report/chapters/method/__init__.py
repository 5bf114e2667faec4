"""The chapter on how it was measured."""
