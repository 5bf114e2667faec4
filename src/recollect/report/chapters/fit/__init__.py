"""The chapter on a fit."""
