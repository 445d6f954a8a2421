"""The same task in other tools, each as somebody who knows the tool would write it; one file each.

    python -m benchmarks.peers.NAME FILE CONTRACT FOLDER

The task: read every column as the contract says, reject the rows in which a cell does not hold, derive ``amount``,
aggregate by two keys, write the valid rows as Parquet (snappy). What a peer leaves in FOLDER is its answer, which
``compare`` checks before the peer is raced:

    data.parquet or data/*.parquet   the valid rows, typed, with ``amount``
    rejects.csv                      record,fields: the record's number from 1, the names of the fields joined with ";"
    groups.csv                       the two keys, count, sum of ``amount``

An empty cell is a missing value. What a contract of ``benchmarks.shapes`` may ask of a cell is all that is covered:
``benchmarks.peers.task`` has it.
"""
