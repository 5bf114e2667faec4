"""The chapter on examples of answers."""
