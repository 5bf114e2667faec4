"""The chapter on what each choice of examples brings."""
