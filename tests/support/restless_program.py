"""An application that rewrites its own configuration all the time: run as a process, FILE WAY.

It counts in keys of its own, and says on stdout when a count was not what it had written last: then somebody has lost it. It
reads the file anew before each write, as applications do, and takes no lock of ours. Ways: "rename" puts a new file in the
old one's place; "in-place" writes into it. It ends when its stdin does, and says how often it wrote.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path


def main(path: Path, way: str) -> None:
    """Write until stdin ends."""
    count = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        time.sleep(0.005)
        try:
            found = json.loads(path.read_text())
        except ValueError:
            sys.stdout.write("torn\n")
            continue
        if found["count"] != count:
            sys.stdout.write(f"lost {found['count']} instead of {count}\n")
            return
        count += 1
        data = (json.dumps({**found, "count": count, "recent": [count] * (count % 7)}, indent=2) + "\n").encode()
        if way == "in-place":
            handle = os.open(path, os.O_WRONLY | os.O_TRUNC)
            os.write(handle, data[: len(data) // 2])
            os.write(handle, data[len(data) // 2 :])
            os.close(handle)
        else:
            temporary = path.with_name("application.tmp")
            temporary.write_bytes(data)
            temporary.replace(path)
    sys.stdout.write(f"wrote {count}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
