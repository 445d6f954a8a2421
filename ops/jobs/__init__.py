"""A person's files on the way through either: uploaded, waited for, shown, fetched."""
