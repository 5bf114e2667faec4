"""The chapter on what training changed and what restores it."""
