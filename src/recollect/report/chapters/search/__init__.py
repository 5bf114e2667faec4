"""The chapter on the search for settings."""
