"""A stage in the AWS emulator on this machine (``laptop``), for ``local.py run`` and ``serve``."""
