"""What is wrong with a row: types and constraints, keys, references; and how it is told."""
