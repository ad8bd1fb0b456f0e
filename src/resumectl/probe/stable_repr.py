"""Show any value as text that is the same in every process."""


def stable_repr(value: object) -> str:
    """Return `repr` of a value without what differs from process to process.

    A set is sorted, and the address at which Python's own repr ends is left out.
    """
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({sorted(map(repr, value))})"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (the program's own, and no reason to end it)
        return f"<{type(value).__name__}>"
    return text.partition(" at 0x")[0] + ">" if " at 0x" in text else text
