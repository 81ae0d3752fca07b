"""A Binnacle to test against: the binary's demo, a throw-away store with a small history."""

import contextlib
import pathlib
import queue
import re
import subprocess
import threading

READY_SECONDS = 60
STOP_SECONDS = 60


class Failed(Exception):
    """Something a person can act on; shown without a traceback."""


@contextlib.contextmanager
def serve_demo(binary, log, *settings):
    """Runs `binnacle demo` on a port that the kernel chooses; gives its address. What it says is kept in `log`."""
    command = [pathlib.Path(binary).resolve(), "demo", "--remediations", "20", "--listen", "127.0.0.1:0"]
    command += ["--embedder", "none", "--color", "never", *settings]
    with open(log, "w") as out:
        # Away from any file of settings.
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, stdin=subprocess.DEVNULL, text=True, cwd="/")
    told = queue.Queue()
    # It is read to the end, or the demo would wait for somebody to read.
    threading.Thread(target=listen, args=(demo.stdout, told), daemon=True).start()
    try:
        try:
            url = told.get(timeout=READY_SECONDS)
        except queue.Empty:
            url = None
        if url is None:
            raise Failed(f"the demo did not start; it said:\n{pathlib.Path(log).read_text()[-2_000:]}")
        yield url
        if demo.poll() is not None:
            raise Failed(f"the demo ended with {demo.returncode} while it was tested; {log} has what it said")
    finally:
        demo.terminate()
        try:
            demo.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            demo.kill()


def listen(lines, told):
    for line in lines:
        if match := re.search(r"(http://[^/\s]+)/graphql$", line.rstrip()):
            told.put(match[1])
    told.put(None)
