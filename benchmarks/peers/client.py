"""Starts peers and asks them."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from peers.question import LIMIT_S, Answer, Question

MODULES = {"ray": "ray_actors", "torch-rpc": "torch_rpc", "gloo": "gloo"}
_PATIENCE_S = 2 * LIMIT_S  # a peer's own limits come first
_CLOSING_LIMIT_S = 20.0


class PeerLeftOutError(Exception):
    """A peer is missing, or failed."""


class Peers:
    """Peers with this many workers each; one that is missing or fails is left out, with a note.

    A peer is started for each measurement and ended after it, so that nothing of it runs beside
    what is measured next: Ray with 8 workers takes 8 % of a core when it has nothing to do.
    """

    def __init__(self, names: Iterable[str], workers: int) -> None:
        self._names = list(names)
        self._workers = workers

    def measure(self, size: int, threshold: int, seconds: float) -> dict[str, Answer]:
        """Measure one peer after the other; return their answers by name."""
        question, answers = Question(size, threshold, seconds), dict[str, Answer]()
        for name in list(self._names):
            peer = _Peer(name, self._workers)
            try:
                peer.wait_until_ready()
                answers[name] = peer.ask(question)
            except PeerLeftOutError as reason:
                self._names.remove(name)
                print(f"{name} is left out: {reason}", file=sys.stderr, flush=True)
            finally:
                peer.close()
        return answers


class _Peer:
    def __init__(self, name: str, workers: int) -> None:
        path = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "peers.host", MODULES[name], str(workers)],
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(filter(None, path)), "TORCH_CPP_LOG_LEVEL": "ERROR"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        reason = self._answer().get("missing")
        if reason is not None:
            raise PeerLeftOutError(f'{reason}; to include it: pip install "hybridmpi[bench]"')

    def ask(self, question: Question) -> Answer:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which the lack of an answer says, too
            self._process.stdin.write(json.dumps(question._asdict()) + "\n")
            self._process.stdin.flush()
        return Answer(**self._answer())

    def close(self) -> None:
        """Let it end by itself, and end it, with the processes that it has started, if not."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_CLOSING_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], _PATIENCE_S)[0]:
            raise PeerLeftOutError(f"no answer within {_PATIENCE_S:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise PeerLeftOutError("it failed; its own message is above")
        answer: dict[str, Any] = json.loads(line)
        return answer
