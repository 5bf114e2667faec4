"""The chapter on attributes of pages."""
