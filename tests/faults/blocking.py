"""
The real server, whose event loop stands still for `BLOCKING_SECONDS` whenever it gets SIGUSR1.

Run by its path, with what `pup` takes. Python calls a handler in the main thread, which is the loop's.
"""

import os
import signal
import time

from pupload.cli.main import main


def _stand_still(*_: object) -> None:
    time.sleep(float(os.environ["BLOCKING_SECONDS"]))


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _stand_still)
    main()
