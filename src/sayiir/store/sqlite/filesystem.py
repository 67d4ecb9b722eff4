"""What kind of file system a folder lies on, as far as the platform tells."""

from __future__ import annotations

from pathlib import Path

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs", "ncpfs"})


def file_system(folder: Path, mounts: str | None = None) -> str | None:
    """Return the file system's type, such as "ext4", or None where it cannot be known.

    Args:
        folder: an absolute path.
        mounts: the mount table's text; read from the system when not given.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text("utf-8", "surrogateescape")
        except OSError:
            return None
    best, kind = "", None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def is_network(kind: str | None) -> bool:
    """Return whether SQLite is unsafe on this type."""
    return kind in _NETWORK
