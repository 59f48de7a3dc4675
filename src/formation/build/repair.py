"""What comes before a build: what a power cut may have damaged in the store goes, and is made again."""

import time

from formation.progress import Progress
from formation.store.store import Store
from formation.store.unsynced import boot_id, forget_damaged


def repair_store(store: Store, progress: Progress) -> None:
    """Removes what may be damaged. Waits for those who use `store`, so the caller must not. Idempotent.

    Raises FormationError when the installer, which removes what is another user's, cannot be started.
    """
    if damaged := forget_damaged(store, boot_id(), time.time()):
        # Not at the top: next to never is there anything to remove.
        from formation.install.installer import remove_trees

        remove_trees(damaged, progress)
