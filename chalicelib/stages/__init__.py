"""What the steps are made of, in their order: a text to cut (``texts``), other datasets' keys (``references``), a
chunk's bytes (``tape``), the chunks' agreement (``settling``), the outputs (``publish``); and where they keep what they
pass on (``workspace``). Only these and ``steps`` know both the engine and the ports.
"""
