"""Where the records are, in a stretch of bytes that may start in the middle of one, and what their cells say."""
