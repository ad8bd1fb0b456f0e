"""Encode what a stored sweep holds, and read it back: its spec, its observations, its judgements.

An observation is compressed JSON of about two kilobytes plus the program's own values. A spec has the
schema version; data of another version of resumectl is refused.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence

from resumectl import __version__
from resumectl.errors import MachineFailure, Refusal
from resumectl.model.codec import Plain, SchemaError, from_plain, to_plain
from resumectl.model.events import EVENT_SCHEMA
from resumectl.model.observation import Observation, observation_from_plain
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.verdict import Judgement


def pack(observations: Sequence[Observation]) -> bytes:
    """Return observations as compressed JSON."""
    plain = [each.as_plain() for each in observations]
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode())


def unpack(sweep_id: int, stored: bytes | None, what: str) -> Iterator[Observation]:
    """Yield stored observations; the spec of their sweep has the schema of this version.

    Args:
        sweep_id: Number of the sweep.
        stored: What `pack` has returned; None for a row that lacks it.
        what: What is read, for the error.

    Raises:
        MachineFailure: The data is damaged.
    """
    try:
        yield from map(observation_from_plain, json.loads(zlib.decompress(stored or b"")))
    except (ValueError, TypeError, AttributeError, zlib.error) as error:
        raise _damaged_sweep(sweep_id, what) from error


def judgement_from(sweep_id: int, stored: Plain) -> Judgement:
    """Return a stored judgement.

    Args:
        sweep_id: Number of the sweep.
        stored: The judgement as plain data.

    Raises:
        MachineFailure: The data is damaged.
    """
    try:
        return from_plain(Judgement, stored)
    except SchemaError as error:
        raise _damaged_sweep(sweep_id, "a judgement") from error


def _damaged_sweep(sweep_id: int, what: str) -> MachineFailure:
    return MachineFailure(
        f"sweep {sweep_id} cannot be read: {what} is damaged",
        next_step="restore the database, or sweep again",
    )


def spec_to_plain(spec: SweepSpec) -> dict[str, Plain]:
    """Return a spec as plain data, with the versions that are needed to read it again."""
    return {"schema": EVENT_SCHEMA, "resumectl": __version__, **to_plain(spec)}


def spec_from(sweep_id: int, stored: Mapping[str, Plain]) -> SweepSpec:
    """Return a stored spec.

    Args:
        sweep_id: Number of the sweep.
        stored: What `spec_to_plain` has returned.

    Raises:
        Refusal: Another version of resumectl has stored it.
    """
    own = {name: each for name, each in stored.items() if name not in ("schema", "resumectl")}
    try:
        if stored.get("schema") != EVENT_SCHEMA:
            raise SchemaError(f"schema {stored.get('schema')}, not {EVENT_SCHEMA}")
        return from_plain(SweepSpec, own)
    except SchemaError as error:
        raise _unreadable_sweep(sweep_id, stored) from error


def _unreadable_sweep(sweep_id: int, stored_spec: Mapping[str, Plain]) -> Refusal:
    """Return the refusal for a sweep that this version of resumectl cannot read."""
    version = stored_spec.get("resumectl")
    by = f"resumectl {version}" if version else "an earlier resumectl"
    is_other = version not in (None, __version__)
    return Refusal(
        f"sweep {sweep_id} was stored by {by}, in a form that this resumectl, {__version__}, "
        "cannot read",
        next_step="sweep again"
        + (
            f"; or read it with the version that stored it:  pip install resumectl=={version}"
            if is_other
            else ""
        ),
    )
