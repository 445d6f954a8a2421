"""The pure middle: bytes and Arrow in, Arrow and dataclasses out. The rooms in the order of the data: ``contract`` and
``text`` (what the file should be, and is), ``records``, ``types``, ``checks``, ``rejects``, ``delivery``, ``measure``,
``ledger``, ``report``; ``plan`` says what is to be done, and ``worker`` does one chunk of it.

What they share: numpy over Arrow's memory (``arrays``, ``bits``), columns of few values as codes (``coding``,
``codebook``), hashes (``hashing``), tables as bytes (``ipc``).
"""
