"""A stage of Sluice in AWS, from nothing to running and back (``deployment``), and what an operator does with one."""
