"""How large a table may be. What is over a limit is refused with one line before memory is spent on it."""

MAX_FILE = 1 << 30  # bytes of one file, packed
MAX_UNPACKED = 8 << 30  # bytes of a Parquet file's columns, unpacked, by its own account
MAX_ROWS = 5_000_000
MAX_COLUMNS = 10_000
MAX_VALUES = 100_000_000  # values of a Parquet file, those inside lists included
MAX_CELL = 20_000_000  # characters of one cell: a raw page of 20 MB
MAX_TEXT = 2 << 30  # bytes of the text of all cells together
MAX_DEPTH = 50  # objects and lists inside each other
MAX_DIGITS = 1_000  # digits of one number in JSON
