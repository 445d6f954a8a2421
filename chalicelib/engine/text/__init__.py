"""What the object is: from its bytes to text in UTF-8, of a known dialect, with a header."""
