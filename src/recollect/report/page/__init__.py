"""The page: its frame, its charts' drawing, its texts, and writing it."""
