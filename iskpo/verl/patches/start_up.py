"""Imports that take seconds of a start, in each of verl's processes, for nothing that is used.

Each goes away when its package imports it where it needs it: transformers 5.5 to 5.10 scikit-learn, in
``transformers/generation/candidate_generator.py``; verl 0.9.1 vLLM, in ``verl/checkpoint_engine``.
"""

import sys
from importlib.util import find_spec
from types import ModuleType

import wrapt


def without_sklearn() -> None:
    """Let transformers do without scikit-learn, which MLflow brings, in this process.

    transformers imports it (two seconds, and most of scipy) for assisted generation with a draft model. Here vLLM
    generates.
    """

    def hide(module: ModuleType) -> None:
        module.is_sklearn_available = lambda: False  # type: ignore[attr-defined]

    # Whichever of the two is loaded first: the package keeps its own copy of the function.
    for name in ("transformers.utils.import_utils", "transformers.utils"):
        wrapt.register_post_import_hook(hide, name)


def without_hccl() -> None:
    """Let verl do without its way of sending weights between Ascend's NPUs, where there can be none.

    It imports vLLM (two seconds, most of them torch's compiler) before it finds that out, and gives up.
    """
    if find_spec("torch_npu") is None:
        sys.modules.setdefault("verl.checkpoint_engine.hccl_checkpoint_engine", None)  # type: ignore[arg-type]
