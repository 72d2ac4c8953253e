"""File systems to break: ext4 on a loop device, in a scratch folder. Needs root and Linux."""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile

# EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: the file system dies at once. What was not synced is lost, and so
# is metadata that the journal had not committed. Every later call on the mount fails with EIO.
_SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
_NO_LOG_FLUSH = 2


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def unusable():
    """Why images cannot be used here, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("mkfs.ext4", "losetup", "mount", "umount"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    try:
        run("losetup", "-f")
    except RuntimeError as error:
        return f"no loop device: {error}"
    return None


class Image:
    """A mounted image, `with` which something is done. `mount` is the folder where it is mounted."""

    def __init__(self, mebibytes, backing_mebibytes=None, journal=True):
        """With `backing_mebibytes`, the image lies on a tmpfs of that size, which may be too small for it."""
        self.folder = tempfile.mkdtemp(prefix="caudal-image-")
        self.mount = os.path.join(self.folder, "mount")
        self.backing = os.path.join(self.folder, "backing")
        self.mebibytes, self.backing_mebibytes, self.journal = mebibytes, backing_mebibytes, journal
        self.loop = None

    def __enter__(self):
        os.mkdir(self.mount)
        os.mkdir(self.backing)
        try:
            if self.backing_mebibytes:
                run("mount", "-t", "tmpfs", "-o", f"size={self.backing_mebibytes}m", "tmpfs", self.backing)
            file = os.path.join(self.backing, "image")
            with open(file, "wb") as image:
                image.truncate(self.mebibytes << 20)
            options = [] if self.journal else ["-O", "^has_journal"]
            run("mkfs.ext4", "-q", "-F", "-m0", "-E", "lazy_itable_init=1", *options, file)
            self.loop = run("losetup", "-f", "--show", file).strip()
            self._mount()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if os.path.ismount(self.mount):
            subprocess.run(["umount", self.mount]).returncode == 0 or subprocess.run(["umount", "-l", self.mount])
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop])
        if os.path.ismount(self.backing):
            subprocess.run(["umount", self.backing])
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mount(self):
        run("mount", "-o", "errors=continue", self.loop, self.mount)

    def cut_power(self):
        fd = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def power_on(self):
        """Mounts again what is on the disk; nothing of the cache survives. No process may hold a file of it."""
        run("umount", self.mount)
        self._mount()

    def sync(self):
        run("sync", "-f", self.mount)

    def enlarge_backing(self, mebibytes):
        run("mount", "-o", f"remount,size={mebibytes}m", self.backing)
