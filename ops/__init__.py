"""What is not shipped: how a stage comes to AWS and what an operator does with it, and the same pipeline on a laptop.

``stage``       a stage in AWS, up and down, for ``deploy.py``: made of ``cloudformation`` (the two stacks), ``chalice``
                (functions, events, API) and ``packages`` (what the functions carry)
``emulation``   that stage in the AWS emulator on this machine, for ``local.py run`` and ``serve``
``check``       the workflow without AWS, on a folder, for ``local.py check`` and ``infer``
``jobs``        a person's files on the way through either: uploaded, waited for, shown, fetched

Beside the rooms lies what all of them need: where a stage is and what its resources are called (``target``), its ports,
where the checkout is, and how a command begins, reads its arguments and ends.
"""
