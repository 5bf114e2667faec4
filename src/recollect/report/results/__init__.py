"""What a report is made of, as typed records."""
