"""transformers 5.5 to 5.10: scikit-learn is imported in each of verl's processes, two seconds each, and never used.

It goes away when ``transformers/generation/candidate_generator.py`` imports it where it needs it.
"""

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
