"""Readers of facts: published sets, tables, chat data."""
