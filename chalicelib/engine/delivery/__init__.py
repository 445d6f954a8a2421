"""The valid rows on their way out: through the dataset's own function, into aggregates and profile, to Parquet."""
