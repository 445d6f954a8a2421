"""From a chunk's rejected records to ``rejects.csv`` and ``rejects.jsonl``.

A worker cuts them out of its blocks (``rejected``) and makes a table of them (``drafts``) that has all but the numbers
that only the whole file gives; StoreResults makes the lines of both outputs of it. What was found is gathered by record
(``told``). Most records are in both outputs as they stand in the file (``alike``); of the others most are written a
column at a time (``render``, ``escape``), or thousands at once where their bytes are no characters (``exact``), and the
few that were read one by one also one by one (``single``): to the same bytes.
"""
