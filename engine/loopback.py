"""Whether a host is this machine."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """By the look of it: `localhost`, or an address such as `127.0.0.1` or `[::1]`. No name is looked up."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
