"""The workflow without AWS: the same steps over ports on a folder (``inprocess``), for ``local.py check`` and more."""
