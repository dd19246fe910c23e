"""What can go wrong with data that is fetched by its hash.

NetworkError
└── BlobError
    ├── BadPages         a list or page that does not fit the blob's name: its source lies
    ├── Absent           a source does not have the blob
    ├── SourceFailed     a source did not answer, or not in time, or not as agreed
    ├── NoSourceLeft     nobody who was asked could give the blob; the message says what each of them did
    └── DiskFailed       this machine cannot write it
"""

from network.errors import NetworkError


class BlobError(NetworkError):
    """A blob cannot be fetched, or not from this source."""


class BadPages(BlobError):
    """A list of page hashes or a page that does not fit the blob's name."""


class Absent(BlobError):
    """The source does not have the blob."""


class SourceFailed(BlobError):
    """The source did not answer, or not in time, or not as agreed; nothing shows that it lies."""


class NoSourceLeft(BlobError):
    """Nobody who was asked could give the blob."""


class DiskFailed(BlobError):
    """The file of a blob cannot be written. What has been verified so far stays and is not fetched again."""
