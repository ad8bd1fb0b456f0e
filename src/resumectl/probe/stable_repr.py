"""Show any value as text that is the same in every process."""


def stable_repr(value: object) -> str:
    """Return the `repr` of a value without the parts that differ between processes.

    Sets are sorted, and the address at the end of Python's default repr is removed.
    """
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({sorted(map(repr, value))})"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (the program's own, and no reason to end it)
        return f"<{type(value).__name__}>"
    return text.partition(" at 0x")[0] + ">" if " at 0x" in text else text
