"""Your code: one module per dataset, ``transforms/<dataset>.py``, found by the dataset's name (of
``new-partner`` it is ``new_partner.py``).

``def transform(df: pandas.DataFrame) -> pandas.DataFrame`` gets the valid rows of a block, typed by the contract, and
returns them with columns added, changed or removed, and rows dropped if it likes. It runs once per block of a chunk, in
parallel, so it must depend on nothing but the rows it is given. See docs/contract.md and docs/operations.md.
"""
