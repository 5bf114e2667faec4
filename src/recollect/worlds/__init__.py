"""Invented worlds and small base models that know parts of them, shipped with the package."""
