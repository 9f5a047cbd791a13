"""The trial runner of a slot whose resources Ray Tune has reserved as one placement group."""

import os
import socket
from pathlib import Path
from typing import Any

from ray.util import get_current_placement_group

from iskpo.verl.names import PLACEMENT_GROUP
from sweep.engine.trial_runner import TrialRunner
from sweep.store.study_folder import STUDY_FILE


class ReservedRunner(TrialRunner):
    """Tells its slot where its resources are; otherwise as `TrialRunner`."""

    def setup(self, config: dict[str, Any], **arguments: Any) -> None:
        """Start a slot inside the runner's own placement group.

        Raises:
            RuntimeError: This node does not have the study's folder.
        """
        output = Path(arguments["output"])
        if not (output / STUDY_FILE).is_file():
            # A node that joined after the start, when the others were asked.
            raise RuntimeError(f"{socket.gethostname()} does not see {output}, which all nodes must share")
        # A slot's process inherits its runner's variables.
        os.environ[PLACEMENT_GROUP] = get_current_placement_group().id.hex()
        super().setup(config, **arguments)
