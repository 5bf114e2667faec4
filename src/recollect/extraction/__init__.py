"""Attributes of product pages: HTML to prompts, values and when they are equal, labels and examples."""
