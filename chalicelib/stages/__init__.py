"""What the steps are made of, in their order: a text to cut (``texts``), other datasets' keys (``references``), a
chunk's bytes (``tape``), the chunks' agreement (``settling``), the outputs (``publish``, ``outputs``), of which two are
written in one pass (``lanes``), and what is said of too many rejected rows (``excess``); and where they keep what they
pass on (``workspace``), by the code that made it (``code``). Only these and ``steps`` know both the engine and the
ports.
"""
