"""Build the JSON documents of the publisher's commands, with stable, sorted keys."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from resumectl.publishing.store.state import BatchState, Counts, State, verdict

if TYPE_CHECKING:
    from resumectl.publishing.store.takeover import Blocked
    from resumectl.publishing.store.workflows import StepSeen, WorkflowSeen
    from resumectl.report.publisher_tables import Resumed


def show(document: dict[str, Any]) -> None:
    """Print one document on standard output."""
    json.dump(document, sys.stdout, sort_keys=True, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")


def counts_document(counts: Counts) -> dict[str, int]:
    """Return the counts, one key for each field of `Counts`."""
    return asdict(counts)


def batch_document(batch: BatchState) -> dict[str, Any]:
    """Return one batch: `id`, `guarantee`, `status`, its counts, and its `failures`."""
    return {
        "id": batch.id,
        "guarantee": batch.guarantee,
        "status": batch.status,
        **counts_document(batch.counts),
        "failures": [{"message": n, "error": error} for n, error in batch.failures],
    }


def state_document(state: State) -> dict[str, Any]:
    """Return the state of batches, for `state`, `publish` and `resume`."""
    return {
        "publishers": [
            {
                "name": publisher.name,
                "batches": [batch_document(batch) for batch in publisher.batches],
                "counters": {
                    "durable": publisher.durable,
                    "processes": [
                        {
                            "process": process.process,
                            "pid": process.pid,
                            "host": process.host,
                            "executor": process.executor,
                            "command": process.command,
                            "ended": process.ended,
                            "local": process.local,
                            "global": process.total,
                        }
                        for process in publisher.processes
                    ],
                },
            }
            for publisher in state.publishers
        ],
        "totals": counts_document(state.totals),
        "verdict": verdict(state),
    }


def workflow_document(workflow: "WorkflowSeen") -> dict[str, Any]:
    """Return one workflow of `list-workflows`; times are milliseconds of Unix time."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "publisher": workflow.publisher,
        "status": workflow.status,
        "queue": workflow.queue,
        "attempts": workflow.attempts,
        "executor": workflow.executor,
        "version": workflow.version,
        "created": workflow.created_at_ms,
        "completed": workflow.completed_at_ms,
        "parent": workflow.parent,
        "steps": workflow.steps,
        "unfinished_children": workflow.unfinished_children,
        "error": workflow.error,
    }


def step_document(step: "StepSeen") -> dict[str, Any]:
    """Return one step of `steps`; times are milliseconds of Unix time."""
    return {
        "step": step.number,
        "name": step.name,
        "child": step.child,
        "failed": step.failed,
        "started": step.started_at_ms,
        "completed": step.completed_at_ms,
        "processes": list(step.processes),
    }


def resumed_document(row: "Resumed") -> dict[str, Any]:
    """Return one workflow of `resume`."""
    return {
        "id": row.workflow_id,
        "before": row.before,
        "after": row.after,
        "replayed": row.replayed,
        "executed": row.executed,
        "repeated": row.repeated,
    }


def blocked_document(blocked: "Blocked") -> dict[str, Any]:
    """Return one workflow that `resume` did not take up, and why."""
    return {
        "id": blocked.workflow.workflow_id,
        "reason": blocked.reason,
        "next": blocked.next_step,
    }
