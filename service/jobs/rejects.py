"""Where a job's reject file goes in the store."""

from service.domain.model import Job
from service.files.store import FileStore
from service.rows.upload import Upload

MAX_FILE_NAME_BYTES = 255
"""Longest name of a file, as common file systems allow it."""


async def save_rejects(job: Job, upload: Upload, store: FileStore) -> str | None:
    """Write the reject file to the store. Returns its URL, or None if the upload has no bad row.

    The file of an earlier attempt is overwritten.
    """
    if not upload.rejects.any:
        return None
    upload.rejects.close()
    url = reject_url(job, store)
    await store.write(url, upload.rejects.path)
    return url


def reject_url(job: Job, store: FileStore) -> str:
    """The URL of a job's reject file.

    It is beside the job's input if that place can be written and the name is not too long, else
    in `rejected/` under the storage root.
    """
    if job.file is not None and store.is_in_root_store(job.file.url):
        location, suffix = store.resolve(job.file.url), f".{job.job_id}.rejected.csv"
        name = location.path.rpartition("/")[2]
        if len(name.encode()) + len(suffix) <= MAX_FILE_NAME_BYTES:
            return store.sibling_url(location, suffix)
    return store.url_under_root(f"rejected/{job.job_id}.csv")
