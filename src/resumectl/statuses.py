"""The statuses of a workflow, as DBOS 3.4.0 spells them."""

SUCCESS = "SUCCESS"
CANCELLED = "CANCELLED"
UNFINISHED = ("PENDING", "ENQUEUED", "DELAYED")
ENDED = (SUCCESS, "ERROR", CANCELLED, "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
STATUSES = (*UNFINISHED, *ENDED)
# What an ordinary recovery leaves alone, and a resume by id takes up again.
RESUMABLE_BY_ID = (CANCELLED, "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
