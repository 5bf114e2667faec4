"""The checks behind the findings, one file for each thing that they are about."""
