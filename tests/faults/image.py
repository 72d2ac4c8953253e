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
    for tool in ("mkfs.ext4", "dumpe2fs", "losetup", "fallocate", "mount", "umount", "strace"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    try:
        run("losetup", "-f")
    except RuntimeError as error:
        return f"no loop device: {error}"
    return None


class Image:
    """A mounted image, `with` which something is done. `mount` is the folder where it is mounted."""

    def __init__(self, mebibytes, backed_mebibytes=None):
        """With `backed_mebibytes`, of each run of free blocks only so many have memory behind them: a write to the
        others fails as late as it can, when the kernel writes its pages back. The file system's own blocks and its
        journal all have theirs."""
        self.folder = tempfile.mkdtemp(prefix="caudal-image-")
        self.mount = os.path.join(self.folder, "mount")
        self.backing = os.path.join(self.folder, "backing")
        self.file = os.path.join(self.backing, "image")
        self.mebibytes, self.backed_mebibytes = mebibytes, backed_mebibytes
        self.loop = self.request_limit = None

    def __enter__(self):
        os.mkdir(self.mount)
        os.mkdir(self.backing)
        try:
            if self.backed_mebibytes:
                run("mount", "-t", "tmpfs", "-o", f"size={self.mebibytes + 16}m", "tmpfs", self.backing)
            with open(self.file, "wb") as image:
                image.truncate(self.mebibytes << 20)
            run("mkfs.ext4", "-q", "-F", "-m0", "-b", "4096", "-E", "lazy_itable_init=1", self.file)
            if self.backed_mebibytes:
                self._hollow_out()
            self.loop = run("losetup", "-f", "--show", self.file).strip()
            if self.backed_mebibytes:
                self._one_block_per_request()
            self._mount()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _hollow_out(self):
        """Fills the image's file, digs holes into its free blocks, and leaves no memory to fill them with."""
        with open(self.file, "r+b") as image:
            os.posix_fallocate(image.fileno(), 0, self.mebibytes << 20)
        keep = self.backed_mebibytes << 8
        for line in run("dumpe2fs", self.file).splitlines():
            if not line.startswith("  Free blocks: "):
                continue
            for blocks in line.removeprefix("  Free blocks: ").replace(",", " ").split():
                first, _, last = blocks.partition("-")
                first, last = int(first) + keep, int(last or first)
                if first <= last:
                    span = ["-o", str(first << 12), "-l", str((last - first + 1) << 12)]
                    run("fallocate", "--punch-hole", *span, self.file)
        used = os.stat(self.file).st_blocks * 512
        run("mount", "-o", f"remount,size={used >> 10}k", self.backing)

    def _one_block_per_request(self):
        """The loop device reports a short write as a whole one: a request that begins on memory and ends in a hole
        would be acknowledged to the file system, and no broker could know better. One block is written or is not."""
        self.request_limit = f"/sys/block/{os.path.basename(self.loop)}/queue/max_sectors_kb"
        with open(self.request_limit) as limit:
            self.usual_limit = limit.read()
        with open(self.request_limit, "w") as limit:
            limit.write("4")

    def __exit__(self, *_):
        if os.path.ismount(self.mount):
            subprocess.run(["umount", self.mount]).returncode == 0 or subprocess.run(["umount", "-l", self.mount])
        if self.request_limit:
            with open(self.request_limit, "w") as limit:
                limit.write(self.usual_limit)
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

    def back_everything(self):
        """Memory for all blocks again: what was not written back stays lost, new writes succeed."""
        run("mount", "-o", f"remount,size={self.mebibytes + 16}m", self.backing)
