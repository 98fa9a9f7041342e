"""Cookies as weir signs them: VALUE.SIGNATURE."""
import hashlib
import hmac
import time


def signed(secret, purpose, value):
    return f"{value}.{hmac.new(secret.encode(), purpose.encode() + bytes(1) + value.encode(), hashlib.sha256).hexdigest()[:32]}"


def weir_id(secret, number):
    """A Cookie header's pair for one of many users."""
    return "weir_id=" + signed(secret, "weir_id", f"{number:032x}")


def weir_pin(secret, service, pool, seconds=3600):
    """service: "acme/shop"."""
    return f"weir_pin_{service.split('/')[1]}=" + signed(secret, service, f"{pool}.{int(time.time()) + seconds}")
