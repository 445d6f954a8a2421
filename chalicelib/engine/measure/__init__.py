"""What the valid rows amount to: aggregates and column profiles, the same for any cut of the file."""
