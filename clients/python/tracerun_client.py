"""Tells the runner that runs this program what it should know.

Outside a run every call does nothing: the module can be used unconditionally. No call raises because of the runner.
Standard library only. The protocol is in docs/runner-protocol.md.
"""

import json
import os
import threading

__all__ = ["ignore_input", "ignore_output", "disable_cache", "get_env", "get_envs"]

_TICKET_BYTES = 16
_lock = threading.Lock()
# The process that made the channel, and its two FIFOs; a process forked from that one must not use them.
_owner = None
_channel = None


def ignore_input(path):
    """What is read at or under `path` does not count."""
    _call({"call": "ignoreInput", "path_hex": _hex(path)})


def ignore_output(path):
    """What is written at or under `path` is neither stored nor restored."""
    _call({"call": "ignoreOutput", "path_hex": _hex(path)})


def disable_cache():
    """This run is not to be stored."""
    _call({"call": "disableCache"})


def get_env(name, tracked=True):
    """The value of a variable in the runner's environment; None if it is not set, and outside a run."""
    return _call({"call": "getEnv", "name": name, "tracked": tracked}).get("value")


def get_envs(glob=None, *, prefix=None, tracked=True):
    """The variables of the runner's environment that match, as a dict; empty outside a run."""
    query = {"glob": glob} if prefix is None else {"prefix": prefix}
    return _call({"call": "getEnvs", "tracked": tracked, **query}).get("values", {})


def _hex(path):
    return os.fsencode(os.path.abspath(path)).hex()


def _connect():
    version, _, folder = os.environ.get("TRACERUN_RUNNER", "").partition(":")
    if version != "1" or not folder:
        return None
    # Not to block for ever where the runner is gone and its FIFOs are still there.
    knock = os.open(os.path.join(folder, "knock"), os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(knock, b"k")
    finally:
        os.close(knock)
    with open(os.path.join(folder, "tickets"), "rb", buffering=0) as tickets:
        ticket = tickets.read(_TICKET_BYTES).decode("ascii")
    requests = open(os.path.join(folder, ticket + ".in"), "wb", buffering=0)
    answers = open(os.path.join(folder, ticket + ".out"), "rb")
    return requests, answers


def _call(request):
    global _owner, _channel
    with _lock:
        try:
            if _owner != os.getpid():
                _owner, _channel = os.getpid(), None
                _channel = _connect()
            if _channel is None:
                return {}
            requests, answers = _channel
            request["pid"] = os.getpid()
            line = memoryview(json.dumps(request).encode() + b"\n")
            while line:
                line = line[requests.write(line) :]
            return json.loads(answers.readline())
        except (OSError, ValueError, TypeError):
            # The runner is gone, or the caller gave what can't be sent: nobody is there to be told.
            _channel = None
            return {}


if hasattr(os, "register_at_fork"):
    # A thread of the parent may hold the lock at the time of the fork.
    def _after_fork():
        global _lock
        _lock = threading.Lock()

    os.register_at_fork(after_in_child=_after_fork)
