"""A process that runs the pipeline again and again in children and kills them; heavy imports are done once.

Started as `python killing.py` in a project; it reads one JSON request a line and answers with one JSON line. A child is
killed at the N-th change of state (a file opened for writing, renamed, removed, a database or a program opened) after
a chapter has begun, or after some seconds.
"""

import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
_OUTSIDE = {"sqlite3.connect", "subprocess.Popen"}
START, END = "start", "end"
FAST = "training.image_size_px=64,training.epochs=4,evaluation.n_bootstrap=100"


class Observer(logging.Handler):
    """Follows the chapters in Kedro's log and counts changes of state; kills at the wanted one."""

    def __init__(self, project: Path, chapters: dict[str, str], request: dict) -> None:
        super().__init__()
        self.project, self.chapters, self.request = str(project), chapters, request
        self.chapter, self.counts, self.armed = START, {}, request.get("chapter") == START

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("Running node: "):
            self.enter(self.chapters[message.removeprefix("Running node: ").partition(":")[0]])
        elif message.startswith("Pipeline execution completed"):
            self.enter(END)

    def enter(self, chapter: str) -> None:
        self.chapter = chapter
        self.armed = self.armed or chapter == self.request.get("chapter")

    def audit(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            if not (flags & (os.O_WRONLY | os.O_RDWR)) or not self._ours(path):
                return
        elif event not in _OUTSIDE and not (event in _CHANGES and self._ours(arguments[0])):
            return
        self.counts[self.chapter] = self.counts.get(self.chapter, 0) + 1
        if self.armed:
            self.request["event"] -= 1
            if self.request["event"] <= 0:
                report(self, f"{event} {arguments[0]}")
                os.kill(os.getpid(), signal.SIGKILL)

    def _ours(self, path: object) -> bool:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str) or "__pycache__" in path:
            return False
        return os.path.abspath(path).startswith(self.project)  # noqa: PTH100 links are not to be followed


def report(observer: Observer, what: str) -> None:
    """Leave word of where the child is; a file of its own, outside the project."""
    text = json.dumps({"chapter": observer.chapter, "counts": observer.counts, "what": what})
    with open(observer.request["report"], "w", encoding="utf-8") as file:  # noqa: PTH123 audited less
        file.write(text)


def run(project: Path, request: dict) -> None:
    """Run the pipeline in this process."""
    from kedro.framework.cli.utils import _split_params
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(project)
    from gender_pipeline.errors import NothingToDoError
    from gender_pipeline.pipeline_registry import register_pipelines
    from gender_pipeline.training import progress

    progress.CHECKPOINT_SECONDS = 0.0  # after each epoch
    nodes = {node.name: next(iter(node.tags)) for node in register_pipelines()["__default__"].nodes}
    parameters = _split_params(None, None, f"{FAST},{request['params']}")
    with KedroSession.create(project, env="smoke", runtime_params=parameters) as session:
        observer = Observer(project, nodes, request)
        logging.getLogger("kedro").addHandler(observer)
        sys.addaudithook(lambda event, arguments: observer.audit(event, arguments))
        observer.enter(START)
        # A run that was killed in its very last steps has done all there is to do.
        with suppress(NothingToDoError):
            session.run()
    observer.request["event"] = 10**9
    report(observer, "")


def child(project: Path, request: dict) -> int:
    """Fork a child for a request, kill it after `seconds` where they are given, and return its exit status."""
    pid = os.fork()
    if pid == 0:
        output = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        status = 1
        try:
            run(project, request)
            status = 0
        except BaseException as error:
            print("ENDED", type(error).__name__, error, flush=True)
        finally:
            os._exit(status)
    if "seconds" in request:
        time.sleep(request["seconds"])
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def main() -> None:
    """Import what a run needs, then serve requests."""
    import gc

    import great_expectations  # noqa: F401
    import kedro_mlflow  # noqa: F401
    import keras  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import mlflow  # noqa: F401
    import sklearn.metrics  # noqa: F401

    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.monotonic()
        status = child(Path.cwd(), json.loads(line))
        answer = {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "status": status}
        print(json.dumps({**answer, "seconds": time.monotonic() - started}), flush=True)


if __name__ == "__main__":
    main()
