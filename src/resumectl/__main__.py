"""Start resumectl: the command, and `python -m resumectl`.

Sets up the interpreter before anything else is imported.
"""

import gc
import signal
from typing import NoReturn

from resumectl.compiled_files import keep_compiled_libraries


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    # Ctrl-C ends the process quietly as long as it only imports; a command that began says what it left.
    is_heard = (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )  # not ignored, as by `nohup`
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Imports allocate much and free nothing. At Python's default threshold, a tenth of the start-up is
    # spent on collections that find nothing (0.06 of 0.62 s for `state`).
    gc.set_threshold(100_000)
    keep_compiled_libraries()
    from resumectl.cli import main as run

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
