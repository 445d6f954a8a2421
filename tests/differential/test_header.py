"""What is wrong with a header: the codes that end the job are Frictionless' findings on the labels."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.engine import contract as contracts
from chalicelib.engine.contract.binding import bind
from tests.differential import reference
from tests.pipeline import contract

LABEL_CODES = ("blank-label", "duplicate-label", "missing-label", "extra-label", "incorrect-label")
_PATTERNS = {
    code: re.compile(re.sub(r"\\\{\w+\\\}", ".*", re.escape(errors.FINDINGS[code])) + r"\Z") for code in LABEL_CODES
}

LABELS = st.lists(st.sampled_from(("a", "b", "c", "d", "A", "")), max_size=3)
EXTRA = st.sampled_from(([], ["x"], ["x", "y"]))
"""Beyond the fields; a blank or repeated label there is that to Sluice, and just an extra one to Frictionless."""
MATCHES = st.sampled_from(("exact", "equal", "subset", "superset", "partial"))


def codes(message: str) -> set[str]:
    """The codes of the findings that a message lists."""
    found = {code for text in message.split("; ") for code, pattern in _PATTERNS.items() if pattern.match(text)}
    assert found, message
    return found


def ours(labels: list[str], described: dict) -> set[str]:
    try:
        bind(contracts.parse(described), labels)
    except errors.Terminal as error:
        return codes(error.message)
    return set()


@given(LABELS.filter(any), EXTRA, MATCHES, st.booleans())
@example(["a", "b", "b"], [], "exact", False)
@example(["", "b"], [], "exact", False)
@example(["a"], [], "superset", True)
def test_labels_are_judged_alike(labels: list[str], extra: list[str], match: str, required: bool) -> None:
    by_name = match != "exact"
    labels = labels + extra if len(labels) == 3 or by_name else labels
    if by_name:
        # Matched by name, Frictionless ends with an error of its own where a label stands twice, and says of a blank
        # label that it is an extra one.
        labels = [label for label in dict.fromkeys(labels) if label]
    fields = [{"name": name, "type": "any", "constraints": {"required": required}} for name in ("a", "b", "c")]
    schema = {"fieldsMatch": match}
    body = (",".join(labels) + "\n").encode()
    theirs = {code for _, _, code in reference.findings(body, {"fields": fields, **schema})}
    if by_name and not {"a", "b", "c"} & set(labels):
        # Where no label is a field's, Sluice lists the fields, whichever of them may be missing elsewhere.
        theirs = (theirs - {"unmatched-header"}) | {"missing-label"}
    assert ours(labels, contract(*fields, schema=schema)) == theirs
