"""How much memory is free for a model; asks the system, decides nothing."""

from pathlib import Path

UNKNOWN = 1 << 62  # where the system does not say, nothing is refused on its behalf


def bytes_free(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that can be taken without swapping, from the kernel's MemAvailable."""
    try:
        text = meminfo.read_text("ascii")
    except OSError:
        return UNKNOWN
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return UNKNOWN
