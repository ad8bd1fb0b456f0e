"""JSON documents with stable, sorted keys, for scripts: one document a command."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from resumectl.publishing.store.state import BatchState, Counts, State, verdict

if TYPE_CHECKING:
    from resumectl.publishing.store.takeover import Blocked
    from resumectl.publishing.store.workflows import StepSeen, WorkflowSeen
    from resumectl.report.publishing import Resumed


def show(document: dict[str, Any]) -> None:
    """Print one document on standard output."""
    json.dump(document, sys.stdout, sort_keys=True, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")


def counts_document(counts: Counts) -> dict[str, int]:
    """`expected`, `delivered`, `repeated`, `missing`, `failed`, `pending` and the others."""
    return asdict(counts)


def batch_document(batch: BatchState) -> dict[str, Any]:
    """One batch: `id`, `guarantee`, `status`, its counts, and its `failures`."""
    return {
        "id": batch.id,
        "guarantee": batch.guarantee,
        "status": batch.status,
        **counts_document(batch.counts),
        "failures": [{"message": n, "error": error} for n, error in batch.failures],
    }


def state_document(state: State) -> dict[str, Any]:
    """What `state`, `publish` and `resume` print."""
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
    """One workflow of `list-workflows`; times are Unix milliseconds."""
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
    """One step of `steps`; times are Unix milliseconds."""
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
    """One workflow of `resume`."""
    return {
        "id": row.workflow_id,
        "before": row.before,
        "after": row.after,
        "replayed": row.replayed,
        "executed": row.executed,
        "repeated": row.repeated,
    }


def blocked_document(blocked: "Blocked") -> dict[str, Any]:
    """One workflow that `resume` left alone, and why."""
    return {
        "id": blocked.workflow.workflow_id,
        "reason": blocked.reason,
        "next": blocked.next_step,
    }
