"""The chapter on the papers' findings: which hold here, which do not, and what is not decided."""
