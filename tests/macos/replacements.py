"""Runs the replacements of the library for macOS in an emulated processor: replacements.py EXAMPLE LIBRARY...

EXAMPLE is shm-protocol's example `macos_ring`, which makes an empty ring, says what is in one, and tells the table. Each test is a
function below; each gets a library that has just been loaded into a process, and has found its session.
"""

import struct
import subprocess
import sys
import tempfile

from machine import BASE, ERRNO, RING, VARIABLES, Machine, Wrong

ENOENT, EACCES, EFAULT, EEXIST = 2, 13, 14, 17
AT_FDCWD = (1 << 32) - 2
F_GETPATH = 50
PROC_PIDVNODEPATHINFO = 9
LIBRARY = "/cache/lib/0123/libtracerun_preload.dylib"
SESSION = "TRACERUN_SESSION=0000000000000000:/tmp/ring"
INSERT = "DYLD_INSERT_LIBRARIES=" + LIBRARY
PARENT, CHILD = 4711, 4712
CWD = "/work"

example = sys.argv[1]


def run(*arguments):
    return subprocess.run([example, *arguments], check=True, capture_output=True, text=True).stdout


TABLE = [line.split("\t") for line in run("table").splitlines()]


class Process(Machine):
    """A process with files, as far as the library asks for them."""

    def __init__(self, library, environment=(SESSION, INSERT)):
        with tempfile.NamedTemporaryFile() as file:
            run("new", file.name)
            super().__init__(library, file.read())
        self.pid = PARENT
        self.ppid = 1
        # The mode of what is there, by path.
        self.files = {LIBRARY: 0o100644}
        self.directories = {4: "/own", 5: "/other"}
        self.environment = self.strings(*environment)
        self.argv = self.strings("prog", "-x")
        self.put_word(VARIABLES, self.environment)
        self.put_word(VARIABLES + 8, self.argv)
        self.time = 1000
        self.answers |= {
            "__error": lambda *_: ERRNO,
            "getpid": lambda *_: self.pid,
            "getppid": lambda *_: self.ppid,
            "geteuid": lambda *_: 501,
            "pthread_self": lambda *_: 0x7000_1000,
            "clock_gettime_nsec_np": self.clock,
            "_NSGetEnviron": lambda *_: VARIABLES,
            "_NSGetArgv": lambda *_: VARIABLES + 8,
            "_NSGetExecutablePath": self.executable,
            "_dyld_register_func_for_add_image": self.register,
            "open": self.open_ring,
            "lseek": lambda *_: self.ring_bytes,
            "mmap": lambda *_: RING,
            "close": lambda *_: 0,
            "fcntl": self.fcntl,
            "proc_pidinfo": self.proc_pidinfo,
            "access": self.access,
            "memcpy": self.memcpy,
            "memmove": self.memcpy,
            "memset": self.memset,
            "bzero": lambda to, size, *_: self.memset(to, 0, size),
            "__bzero": lambda to, size, *_: self.memset(to, 0, size),
            "memcmp": self.memcmp,
            "bcmp": self.memcmp,
            "strlen": lambda text, *_: len(self.text(text).encode()),
            "fstatat": self.fstatat,
            "fstatat$INODE64": self.fstatat,
            "fstat": self.fstat,
            "fstat$INODE64": self.fstat,
            "posix_spawnattr_getflags": lambda attributes, place, *_: self.cpu.mem_write(place, b"\0\0"),
        }
        self.call(self.constructor, 2, self.argv, self.environment)
        self.introduction = self.records()

    def clock(self, *_):
        self.time += 1
        return self.time

    def executable(self, buffer, size, *_):
        self.cpu.mem_write(buffer, b"./prog\0")
        return 0

    def register(self, function, *_):
        self.add_image = function
        return 0

    def open_ring(self, path, *_):
        if self.text(path) == ".":
            return 4
        if self.text(path) != "/tmp/ring":
            raise Wrong("another file was opened")
        return 3

    def fcntl(self, fd, command, *_):
        path = self.directories.get(fd & 0xFFFF_FFFF)
        if command & 0xFFFF_FFFF != F_GETPATH or path is None:
            return self.fail(9)
        place = self.abi.left_open(self.cpu, 2)
        self.cpu.mem_write(place, path.encode() + b"\0")
        return 0

    def proc_pidinfo(self, pid, flavor, _, buffer, size, *__):
        if (pid, flavor, size) != (self.pid, PROC_PIDVNODEPATHINFO, 2 * (152 + 1024)):
            raise Wrong(f"proc_pidinfo({pid}, {flavor}, {size})")
        self.cpu.mem_write(buffer, b"\0" * 152 + CWD.encode().ljust(1024, b"\0") + b"\0" * (152 + 1024))
        return size

    def fail(self, error):
        self.errno = error
        return -1

    def path(self, address, directory=CWD):
        """The path at an address; `None` if the process has no memory there."""
        if address < BASE:
            return None
        path = self.text(address)
        return path if path.startswith("/") else f"{directory}/{path}"

    def access(self, path, *_):
        path = self.path(path)
        if path is None:
            return self.fail(EFAULT)
        return 0 if path in self.files else self.fail(ENOENT)

    def fstatat(self, fd, path, buffer, *_):
        path = self.path(path, self.directories.get(fd & 0xFFFF_FFFF, CWD))
        if path is None:
            return self.fail(EFAULT)
        if path not in self.files:
            return self.fail(ENOENT)
        self.cpu.mem_write(buffer, struct.pack("<iH", 1, self.files[path]).ljust(144, b"\0"))
        return 0

    def fstat(self, fd, buffer, *_):
        self.cpu.mem_write(buffer, struct.pack("<iH", 1, 0o100644).ljust(144, b"\0"))
        return 0

    def memcpy(self, to, source, size, *_):
        self.cpu.mem_write(to, bytes(self.cpu.mem_read(source, size)))
        return to

    def memset(self, to, byte, size, *_):
        self.cpu.mem_write(to, bytes([byte & 0xFF]) * size)
        return to

    def memcmp(self, one, other, size, *_):
        one, other = self.cpu.mem_read(one, size), self.cpu.mem_read(other, size)
        return (one > other) - (one < other)

    def records(self):
        """All that was written to the ring so far."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.ring())
            file.flush()
            return [line.split("\t") for line in run("read", file.name).splitlines()]

    def news(self):
        """What was written since this was asked last."""
        records = self.records()
        news = records[len(self.introduction) :]
        self.introduction = records
        return ["\t".join(record) for record in news]

    def replaced(self, symbol, *arguments, result=0, error=None, stack=()):
        """Calls a replacement while libSystem's function gives `result`, with `error` where that is a failure.

        Gives the result and the arguments that the function was called with.
        """
        before = self.answers.get(symbol)
        calls = []

        def function(*given):
            calls.append(list(given))
            self.stack_seen = self.abi.on_stack(self.cpu)
            # The library must not have touched errno before the call.
            if self.errno != 77:
                raise Wrong(f"errno is {self.errno} as the call is made")
            if error is not None:
                self.errno = error
            if symbol.startswith("open"):
                self.mode = self.abi.left_open(self.cpu, 3 if symbol.startswith("openat") else 2)
            return result

        self.answers[symbol] = function
        self.errno = 77
        got = self.call(self.interposed[symbol], *arguments, stack=stack)
        if before is not None:
            self.answers[symbol] = before
        else:
            del self.answers[symbol]
        if len(calls) != 1:
            raise Wrong(f"{symbol} was made {len(calls)} times")
        expect(self.errno, 77 if error is None else error, "errno")
        expect(got & 0xFFFF_FFFF, result & 0xFFFF_FFFF, "the result")
        return calls[0]


def expect(got, wanted, what):
    if got != wanted:
        raise Wrong(f"{what}:\n      is {got!r}\n  not {wanted!r}")


def access(call, kind, path, outcome="Done", follow=True, change="-", pid=PARENT):
    return "\t".join([str(pid), call, kind, outcome, "follow" if follow else "-", change, path])


def the_table_is_in_the_section(p):
    """Each line of the table that this processor has, and no other symbol."""
    wanted = {symbol for symbol, _, _, where in TABLE if not where or p.abi.name == "x86_64"}
    expect((set(p.interposed) - wanted, wanted - set(p.interposed)), (set(), set()), "too many, too few")
    if p.abi.name == "x86_64" and "stat$INODE64" not in p.interposed:
        raise Wrong("no stat$INODE64")


def it_introduces_itself(p):
    expect(
        ["\t".join(record) for record in p.introduction],
        [f"{PARENT}\tExec\t/work/./prog\t/work\tprog -x", f"{PARENT}\tInstrumented"],
        "the introduction",
    )


def without_a_session_nothing_is_told(p):
    bare = Process(p.library, environment=("HOME=/", INSERT))
    path = bare.string("/a")
    expect(bare.replaced("stat", path, 0x1234, result=0)[:2], [path, 0x1234], "arguments")
    expect(bare.records(), [], "records")


def each_line_forwards_its_call(p):
    """Every argument, the result and errno, whatever the function."""
    for symbol, kind, arguments, where in TABLE:
        if kind == "by_hand" or where and p.abi.name != "x86_64":
            continue
        names = arguments.split(",")
        for error in (None, EACCES, EFAULT):
            given = []
            for number, name in enumerate(names):
                is_path = name in ("path", "from", "to", "one", "other")
                text = f"/{symbol}{number}{error}".replace("$", ".")
                given.append(p.string(text) if is_path else 0x40 + number)
                # An address, and a message that has none.
                if name in ("address", "messages"):
                    given[-1] = p.bytes(b"\0" * 64)
                if is_path and error == EFAULT:
                    given[-1] = 0x10
            failure = 0 if kind == "pointer" else -1
            result = 0x1234 if error is None else failure
            if kind == "variadic":
                *named, last = given
                on_arm = p.abi.name == "arm64"
                call = named if on_arm else given
                got = p.replaced(symbol, *call, result=result, error=error, stack=[last] if on_arm else ())
                expect(p.mode & 0xFFFF_FFFF, last, f"{symbol}: what C leaves open")
                expect(got[: len(named)], named, f"{symbol}: arguments")
            else:
                got = p.replaced(symbol, *given, result=result, error=error)
                expect(got[: len(given)], given, f"{symbol}: arguments")
            if error == EFAULT:
                told = [line for line in p.news() if "\tGap(" not in line and "fchmod" not in line]
                expect(told, [], f"{symbol}: told of a path that is not there to be read")
            elif error is None and any(name in ("path", "from") for name in names):
                news = p.news()
                if kind != "by_hand" and symbol not in ("mount", "unmount", "chroot"):
                    expect(bool(news) and all(line.split("\t")[1] == symbol for line in news), True, f"{symbol}: {news}")
            else:
                p.news()


def opening_tells_how(p):
    path = p.string("/a.c")
    on_arm = p.abi.name == "arm64"

    def opens(symbol, *arguments, mode=None, **others):
        if mode is not None and not on_arm:
            arguments = (*arguments, mode)
        return p.replaced(symbol, *arguments, stack=[mode] if mode is not None and on_arm else (), **others)

    opens("open", path, 0, result=7)
    expect(p.news(), [access("open", "read", "/a.c")], "reading")
    opens("open", path, 0, result=8)
    expect(p.news(), [], "reading again")
    opens("open", path, 0x601, mode=0o640, result=9)
    expect(p.mode & 0xFFFF, 0o640, "the mode")
    expect(p.news(), [access("open", "write", "/a.c", change="Replace Absent")], "making")
    p.files["/a.c"] = 0o100640
    opens("open$NOCANCEL", path, 1, result=9)
    expect(
        p.news(), [access("open$NOCANCEL", "write", "/a.c", change="Modify File(416)")], "writing in place"
    )
    opens("open", p.string("/gone"), 0, result=-1, error=ENOENT)
    expect(p.news(), [access("open", "read", "/gone", "Absent")], "what is not there")
    opens("openat", 5, p.string("b"), 0, result=9)
    expect(p.news(), [access("openat", "read", "/other/b")], "from a descriptor")
    opens("openat", AT_FDCWD, p.string("b"), 0xA01, mode=0o600, result=9)
    expect(p.mode & 0xFFFF, 0o600, "the mode")
    expect(
        p.news(),
        [access("openat", "write", "/work/b", follow=False, change="Replace Absent")],
        "from the working directory",
    )
    opens("openat", 99, p.string("b"), 0, result=9)
    expect(p.news(), [f"{PARENT}\tGap(UnresolvedDirectory)"], "from nowhere")
    opens("open", p.string("/.vol/1/2"), 0, result=9)
    expect(p.news(), [f"{PARENT}\tGap(OpenByHandle)"], "by its number")
    opens("open", p.string("/dev/fd/3"), 0, result=9)
    expect(p.news(), [], "a descriptor by name")


def looking_tells_what(p):
    p.replaced("lstat", p.string("/l"), 0, result=0)
    expect(p.news(), [access("lstat", "stat", "/l", follow=False)], "lstat")
    p.replaced("stat", p.string("/s"), 0, result=-1, error=ENOENT)
    expect(p.news(), [access("stat", "stat", "/s", "Absent")], "stat")
    p.replaced("fstatat", 5, p.string("t"), 0, 0x20, result=-1, error=EACCES)
    expect(p.news(), [access("fstatat", "stat", "/other/t", "Refused", follow=False)], "fstatat")
    p.replaced("opendir", p.string("dir"), result=0x8000)
    expect(p.news(), [access("opendir", "list", "/work/dir")], "opendir")
    p.replaced("opendir", p.string("none"), result=0, error=ENOENT)
    expect(p.news(), [access("opendir", "list", "/work/none", "Absent")], "opendir of nothing")
    p.replaced("__getdirentries64", 5, 0, 0, 0, result=64)
    expect(p.news(), [access("__getdirentries64", "list", "/other")], "getdirentries64")
    p.replaced("getattrlistbulk", 5, 0, 0, 0, 0, result=3)
    expect(p.news(), [access("getattrlistbulk", "list", "/other")], "getattrlistbulk")
    p.replaced("getxattr", p.string("/x"), 0, 0, 0, 0, 1, result=-1, error=93)
    expect(p.news(), [access("getxattr", "stat", "/x", "Refused", follow=False)], "getxattr")
    p.replaced("chdir", p.string("sub"), result=0)
    expect(p.news(), [access("chdir", "stat", "/work/sub")], "chdir")
    # From now on, a thread may have a directory of its own.
    p.replaced("pthread_chdir_np", p.string("sub"), result=0)
    p.news()
    p.replaced("stat", p.string("u"), 0, result=0)
    expect(p.news(), [access("stat", "stat", "/own/u")], "a thread's directory")


def changing_tells_what_was_there(p):
    p.files |= {"/old": 0o100644, "/new": 0o120777, "/d": 0o040755}
    p.replaced("rename", p.string("/old"), p.string("/new"), result=0)
    expect(
        p.news(),
        [
            access("rename", "delete", "/old", follow=False, change="Replace File(420)"),
            access("rename", "write", "/new", follow=False, change="Replace Symlink"),
        ],
        "rename",
    )
    p.replaced("renamex_np", p.string("/old"), p.string("/d"), 2, result=0)
    expect(
        p.news(),
        [
            access("renamex_np", "write", "/old", follow=False, change="Modify File(420)"),
            access("renamex_np", "write", "/d", follow=False, change="Modify Directory(493)"),
        ],
        "renamex_np",
    )
    p.replaced("unlinkat", 5, p.string("f"), 0, result=-1, error=ENOENT)
    expect(
        p.news(),
        [access("unlinkat", "delete", "/other/f", "Absent", follow=False, change="Replace Absent")],
        "unlinkat",
    )
    p.replaced("mkdir", p.string("/d"), 0o755, result=-1, error=EEXIST)
    expect(
        p.news(),
        [access("mkdir", "write", "/d", "Refused", follow=False, change="Replace Directory(493)")],
        "mkdir",
    )
    p.replaced("clonefile", p.string("/old"), p.string("/copy"), 0, result=0)
    expect(
        p.news(),
        [
            access("clonefile", "read", "/old"),
            access("clonefile", "write", "/copy", follow=False, change="Replace Absent"),
        ],
        "clonefile",
    )
    p.replaced("fopen", p.string("/stream"), p.string("w+"), result=0x9000)
    expect(p.news(), [access("fopen", "write", "/stream", change="Replace Absent")], "fopen")
    p.replaced("mkstemp", p.string("/tmp/aXX"), result=6)
    expect(p.news(), [access("mkstemp", "write", "/tmp/aXX", follow=False, change="Replace Absent")], "mkstemp")


def a_child_is_met(p):
    p.pid, p.ppid = CHILD, PARENT
    p.replaced("stat", p.string("/s"), 0, result=0)
    expect(
        p.news(),
        [f"{CHILD}\tFork {{ parent: {PARENT} }}", access("stat", "stat", "/s", pid=CHILD)],
        "a child by fork",
    )
    # It was a vfork, and the parent goes on in the same memory.
    p.pid, p.ppid = PARENT, 1
    p.replaced("stat", p.string("/s"), 0, result=0)
    expect(p.news(), [access("stat", "stat", "/s")], "its parent")


def a_child_is_given_the_library(p):
    p.files |= {"/bin/prog": 0o100755, "/work/x": 0o040755}
    argv = p.strings("prog")
    for given in (["A=1"], ["A=1", INSERT, SESSION], ["DYLD_INSERT_LIBRARIES=/own.dylib"], []):
        seen = {}

        def spawn(pid, path, actions, attributes, argv, environment, *_):
            seen["environment"] = p.texts(environment)
            p.put_int(pid, CHILD)
            return 0

        p.answers["posix_spawn"] = spawn
        p.errno = 77
        result = p.call(
            p.interposed["posix_spawn"], 0, p.string("/bin/prog"), 0, 0, argv, p.strings(*given)
        )
        expect((result, p.errno), (0, 77), "result and errno")
        insert = INSERT
        if "DYLD_INSERT_LIBRARIES=/own.dylib" in given:
            insert = "DYLD_INSERT_LIBRARIES=/own.dylib:" + LIBRARY
        wanted = sorted([one for one in given if one.startswith("A")] + [insert, SESSION])
        expect(sorted(seen["environment"]), wanted, "the environment")
        expect(
            p.news(),
            [
                f"{CHILD}\tFork {{ parent: {PARENT} }}",
                access("posix_spawn", "exec", "/bin/prog", pid=CHILD),
            ],
            "what is told",
        )
    # Along PATH, past what is not there and what is no program.
    p.put_word(VARIABLES, p.strings("PATH=/none:/bin", SESSION, INSERT))
    p.answers["posix_spawnp"] = lambda pid, *_: p.put_int(pid, CHILD)
    p.call(p.interposed["posix_spawnp"], 0, p.string("prog"), 0, 0, argv, p.strings(SESSION, INSERT))
    expect(
        p.news(),
        [
            access("posix_spawnp", "stat", "/none/prog", "Absent"),
            f"{CHILD}\tFork {{ parent: {PARENT} }}",
            access("posix_spawnp", "exec", "/bin/prog", pid=CHILD),
        ],
        "a search",
    )
    p.answers["posix_spawn"] = lambda *_: ENOENT
    result = p.call(p.interposed["posix_spawn"], 0, p.string("/gone"), 0, 0, argv, p.strings(SESSION, INSERT))
    expect(result, ENOENT, "the error")
    expect(p.news(), [access("posix_spawn", "stat", "/gone", "Absent")], "a program that is not there")


def an_exec_that_fails_is_taken_back(p):
    p.files["/work/prog"] = 0o100755
    environments = []

    def execve(path, argv, environment, *_):
        environments.append(p.texts(environment))
        return p.fail(EACCES)

    p.answers["execve"] = execve
    result = p.call(p.interposed["execve"], p.string("prog"), p.strings("prog"), p.strings("A=1"))
    expect((result & 0xFFFF_FFFF, p.errno), (0xFFFF_FFFF, EACCES), "result and errno")
    expect([sorted(one) for one in environments], [["A=1", INSERT, SESSION]], "the environment")
    expect(
        p.news(), [access("execve", "exec", "/work/prog"), f"{PARENT}\tExecFailed"], "what is told of execve"
    )


def open_arguments_are_passed_through(p):
    p.files["/work/prog"] = 0o100755
    path, registers = p.string("/work/prog"), [0x71, 0x72, 0x73, 0x74, 0x75]
    got = p.replaced("execl", path, *registers, result=-1, error=EACCES, stack=[0x81, 0x82, 0x83])
    expect(got[:6], [path, *registers], "registers")
    expect([p.word(p.stack_seen + 8 * place) for place in range(3)], [0x81, 0x82, 0x83], "the stack")
    expect(p.news(), [access("execl", "exec", "/work/prog")], "execl")
    # The same thread goes on, so it has failed.
    p.replaced("stat", p.string("/s"), 0, result=0)
    expect(p.news(), [f"{PARENT}\tExecFailed", access("stat", "stat", "/s")], "going on")
    p.replaced("syscall", 5, path, 0, result=3)
    expect(p.news(), [f"{PARENT}\tGap(ForeignAbi)"], "a bare system call")
    p.replaced("syscall", 372, result=3)
    expect(p.news(), [], "a harmless one")


def sockets_tell_where_they_reach(p):
    inet = p.bytes(bytes([16, 2]) + struct.pack(">H", 443) + bytes([192, 0, 2, 10]) + b"\0" * 8)
    p.replaced("connect", 3, inet, 16, result=-1, error=36)
    expect(p.news(), [f"{PARENT}\tNetwork\t192.0.2.10:443"], "a host")
    inet6 = p.bytes(bytes([28, 30]) + struct.pack(">HI", 80, 0) + b"\x20\x01" + b"\0" * 13 + b"\1" + b"\0" * 4)
    p.replaced("sendto", 3, 0, 0, 0, inet6, 28, result=0)
    expect(p.news(), [f"{PARENT}\tNetwork\t[2001:0:0:0:0:0:0:1]:80"], "a host by IPv6")
    local = p.bytes(bytes([0, 1]) + b"/var/run/s\0")
    p.replaced("connect", 3, local, 13, result=-1, error=ENOENT)
    expect(p.news(), [access("connect", "stat", "/var/run/s", "Absent")], "a socket that is not there")
    p.replaced("bind", 3, local, 13, result=0)
    expect(p.news(), [access("bind", "write", "/var/run/s", follow=False, change="Replace Absent")], "a new socket")


def images_are_read(p):
    cached = p.bytes(struct.pack("<8I", 0, 0, 0, 0, 0, 0, 0x8000_0000, 0))
    own = p.bytes(struct.pack("<8I", 0, 0, 0, 0, 0, 0, 0, 0))
    name = p.string("/opt/lib/libx.dylib")

    def dladdr(header, origin, *_):
        p.put_word(origin, name)
        return 1

    p.answers["dladdr"] = dladdr
    p.call(p.add_image, cached, 0)
    p.call(p.add_image, own, 0)
    expect(p.news(), [access("open", "read", "/opt/lib/libx.dylib")], "what dyld loads")


def a_full_ring_keeps_nobody_waiting(p):
    """Nobody reads here; and then the reader is gone, so that it need not be waited for."""
    slept = []
    p.answers["usleep"] = lambda microseconds, *_: slept.append(microseconds)
    p.answers["kill"] = lambda *_: p.fail(3) if slept else 0
    free = p.heap
    for number in range(300):
        p.replaced("stat", p.string(f"/{number}/" + "x" * 900), 0x40, result=0)
        p.heap = free
    expect(sum(slept) >= 50_000, True, "it waits while there is a reader")
    expect(sum(slept) <= 300_000, True, "it waits no longer")
    lost = [record for record in p.records() if record[0] == "lost"]
    expect(len(lost), 1, "what was lost is counted")


def nothing_allocates_locks_or_prints(p):
    """What is called beside the functions of the table is known, name by name, and does none of it."""
    table = {symbol for symbol, *_ in TABLE}
    harmless = {"kill", "usleep", "dladdr", "dyld_stub_binder"}
    expect(set(p.names.values()) - table - set(p.answers) - harmless, set(), "what is called besides")


TESTS = [
    the_table_is_in_the_section,
    it_introduces_itself,
    without_a_session_nothing_is_told,
    each_line_forwards_its_call,
    opening_tells_how,
    looking_tells_what,
    changing_tells_what_was_there,
    a_child_is_met,
    a_child_is_given_the_library,
    an_exec_that_fails_is_taken_back,
    open_arguments_are_passed_through,
    sockets_tell_where_they_reach,
    images_are_read,
    a_full_ring_keeps_nobody_waiting,
    nothing_allocates_locks_or_prints,
]


def main():
    failures = 0
    for library in sys.argv[2:]:
        for test in TESTS:
            Process.library = library
            process = Process(library)
            try:
                test(process)
            except Wrong as wrong:
                failures += 1
                print(f"FAILED: {process.abi.name}: {test.__name__}: {wrong}")
            else:
                print(f"{process.abi.name}: {test.__name__}")
    if failures:
        sys.exit(f"{failures} failed")


if __name__ == "__main__":
    main()
