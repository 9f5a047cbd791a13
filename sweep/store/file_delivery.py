"""Sends the files of a study's runs (samples, traces, configurations, logs) to an MLflow server, after their metrics.

Only to a server that takes files over the network: one whose artifact folder is a plain path would have this machine
write to a folder of that name on its own disk.
"""

from pathlib import Path
from urllib.parse import urlparse

from mlflow.tracking import MlflowClient

from sweep.store.undelivered import Delivered
from sweep.store.unsent_files import SentFile, note_sent, sent_files, unsent_files

_ON_ITS_DISK = ("", "file")


class FileDelivery:
    """Sends one study's files.

    Args:
        output: The study's folder.
        client: Of the server.
    """

    def __init__(self, *, output: Path, client: MlflowClient) -> None:
        """Read what was sent before."""
        self._output, self._client = output, client
        self._sent = {key: stamp for key, stamp in sent_files(output).items() if key[1]}
        self._takes_files: bool | None = None

    def deliver(self, known: dict[str, Delivered]) -> None:
        """Send what the server lacks of the runs that it knows.

        Args:
            known: The runs, by their id in the study's own store.

        Raises:
            MlflowException: The server does not answer or refuses.
            OSError: A file cannot be read, or what was sent cannot be noted.
        """
        runs = {delivered.remote: run for run, delivered in known.items()}
        for file in unsent_files(self._output, of=known, sent=self._sent):
            if not self._accepts(file.remote):
                return
            path = self._output / "artifacts" / runs[file.remote] / "artifacts" / file.path
            folder = str(Path(file.path).parent)
            self._client.log_artifact(file.remote, str(path), None if folder == "." else folder)
            # Its stamp is from before: what was still being written is sent again.
            note_sent(self._output, file)
            self._sent[file.remote, file.path] = file.stamp

    def _accepts(self, remote: str) -> bool:
        if self._takes_files is None:
            address = self._client.get_run(remote).info.artifact_uri
            self._takes_files = urlparse(address).scheme not in _ON_ITS_DISK
            if not self._takes_files:
                note_sent(self._output, SentFile(remote, "", f"it keeps files on its own disk ({address})"))
        return self._takes_files
