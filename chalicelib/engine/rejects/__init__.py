"""From a chunk's rejected records to ``rejects.csv`` and ``rejects.jsonl``.

A worker renders both, but for the numbers that only the whole file gives (``drafts``); StoreResults puts those in. Most
records are rendered a column at a time (``render``, ``escape``), the few that were read one by one also written one by
one (``single``): to the same bytes.
"""
