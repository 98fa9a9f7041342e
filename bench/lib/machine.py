"""The machine: a network of the bench's own, which CPU does what, and whether somebody else was busy."""
import ctypes
import fcntl
import os
import platform
import resource
import socket
import struct
import subprocess
import time

PROXY_CPU = 0
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def own_network(congestion):
    """As root: a network namespace, so that ports, buckets and the congestion control are the bench's alone.
    Returns the congestion control in use and whether the network is an own one."""
    own = os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0
    if own:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            request = struct.pack("16sh14x", b"lo", 0)
            flags = struct.unpack("16sh14x", fcntl.ioctl(s, SIOCGIFFLAGS, request))[1]
            fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as f:
            f.write("16000 64000")
        # By route and not by sysctl: that works without owning the first network namespace.
        done = subprocess.run(["ip", "route", "change", "local", "127.0.0.1", "dev", "lo", "proto", "kernel", "scope",
                               "host", "src", "127.0.0.1", "table", "local", "congctl", congestion],
                              capture_output=True, check=False)
        if done.returncode == 0:
            return congestion, True
    with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as f:
        return f.read().strip(), own


def other_cpu(pin):
    """Where load and origin run."""
    if pin == "one" or os.cpu_count() < 2:
        return PROXY_CPU
    return PROXY_CPU + 1


def settle(pin):
    """This process, and with it load and origin, goes to their CPU; descriptors are lifted for all."""
    os.sched_setaffinity(0, {other_cpu(pin)})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "openssl": version(["openssl", "version"]), "date": time.strftime("%Y-%m-%d")}


def version(command):
    """The first line that a program says about itself; empty if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else ""


def _busy_seconds():
    """All that the CPUs did, interrupts included (a process's own account includes those that it was hit by), and
    what the hypervisor took."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, irq, softirq, steal = (int(x) for x in f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Watch:
    """The share of one CPU that went to others while a round ran.

    ours is a function that returns the CPU seconds that the contender and the origin have used so far; the load
    generator and this program are known from rusage."""

    def __init__(self, ours):
        self.ours = ours
        self.start = time.monotonic()
        self.busy = _busy_seconds()
        self.known = self._known()

    def _known(self):
        mine = resource.getrusage(resource.RUSAGE_SELF)
        load = resource.getrusage(resource.RUSAGE_CHILDREN)
        return self.ours() + mine.ru_utime + mine.ru_stime + load.ru_utime + load.ru_stime

    def others(self):
        elapsed = max(time.monotonic() - self.start, 0.01)
        busy = _busy_seconds() - self.busy
        return max(0.0, busy - (self._known() - self.known)) / elapsed
