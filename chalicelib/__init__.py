"""What is shipped to Lambda: the story of one upload, stage by stage.

1.  **An upload is seen.** S3 tells two listeners. ``triggers.upload_seen`` (an S3 event handler) registers the job as
    RECEIVED. EventBridge starts the workflow, ``statemachine.json``, whose every state is one function of ``steps``.
    Either may come first, twice, or not at all: ``sweeper`` starts what was never started.
2.  **ValidateData** (``steps.validate_data``) claims the job for its execution, reads the dataset's contract
    (``engine.contract``), finds out what the file is (``stages.texts``, ``engine.text``), rewrites it as UTF-8 where it
    is packed or in another encoding, and writes a plan and a round of tasks, one per byte range (``engine.plan``). What
    foreign keys may refer to is pinned there (``stages.references``). Takes an S3 event, gives a reference to the
    round.
3.  **ProcessData** runs ``steps.process_chunk`` for each task at once. ``stages.tape`` reads the chunk, the next parts
    while one is worked on. ``engine.worker`` finds the chunk's records though it starts in the middle of one
    (``engine.records``), reads and checks their cells and calculates what the contract derives (``engine.types``,
    ``engine.checks``; a column of few texts as codes, ``engine.coding``, ``engine.codebook``), renders what is
    rejected (``engine.rejects``), hands valid rows to the dataset's own function, aggregates and profiles what comes
    out, and writes it (``engine.delivery``, ``engine.measure``). Its partial results lie under ``work/<job_id>/``; it
    gives nothing back.
4.  **AggregateData** (``steps.aggregate_data``) chains the chunks' reports (``stages.settling``, ``engine.ledger``).
    Chunks that guessed their start wrong, or that repeat an earlier chunk's key, go through ProcessData once more, told
    the truth, and so do those that no function was free for. When all stand, the ledger is reconciled and the partial
    aggregates and profiles are merged.
5.  **StoreResults** (``steps.store_results``, ``stages.publish``) writes the outputs under ``jobs/<job_id>/``, the
    manifest last, and then makes the job current with one conditional put, and lists the dataset's files for those who
    query it (``publication``). Too many rejected rows end the job here.
6.  **NotifySuccess, NotifyFailure** (``notify``) tell people and machines. A failure of any state was first written to
    the job by ``failure.record_failure``; an execution that died outside its own Catch is seen by
    ``triggers.execution_status_changed``. Both finish a job that was to be made current already.

``api`` answers for the job records meanwhile and afterwards. ``retry`` gives a failed one to a new execution, whose
ValidateData hands ProcessData only the chunks that no earlier attempt has done by the same plan.

Who may call whom: ``engine`` is pure (bytes and Arrow in, Arrow and dataclasses out: no boto3, no clock, no
environment) and imports nothing of the project outside itself but ``errors``, ``model`` and ``frozen``. ``steps`` and
``stages`` join it to the world through ``ports``, which ``aws`` implements. A test holds it.
"""
