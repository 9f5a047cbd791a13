"""All checks, in the order in which a reader wants their answers: what the conclusions rest on first."""

from collections.abc import Callable

from reports.audit.accuracies import check_accuracies
from reports.audit.clipping import check_clipping, check_largest_innovations
from reports.audit.differences import check_differences, check_recoveries
from reports.audit.gains import check_gains
from reports.audit.reported import Reported
from reports.audit.row import Row
from reports.audit.tension import check_incompatible
from reports.audit.thresholds import check_sigmas, check_thresholds
from reports.audit.z_tests import check_tests

# To add a kind of claim: its list in `reported`, its name in `load.CLAIMS`, its check here.
CHECKS: dict[str, Callable[[Reported], list[Row]]] = {
    "tests": check_tests,
    "recoveries": check_recoveries,
    "differences": check_differences,
    "gains": check_gains,
    "sigmas": check_sigmas,
    "thresholds": check_thresholds,
    "clipping": check_clipping,
    "largest_innovations": check_largest_innovations,
    "incompatible": check_incompatible,
    "accuracies": check_accuracies,
}


def audit(*, reported: Reported) -> list[Row]:
    """Check every claim of a file.

    Args:
        reported: From `reports.audit.load_reported`.

    Returns:
        One row for each claim, in the order of `CHECKS` and of the file.
    """
    return [row for check in CHECKS.values() for row in check(reported)]
