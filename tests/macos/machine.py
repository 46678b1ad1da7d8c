"""A processor that runs the library's own code, with libSystem made up around it.

The Mach-O file is laid out as dyld would, each symbol it imports leads to a place that Python answers for, and the ring is a
mapping whose bytes are taken out at the end, for tracerun's own reader.
"""

import struct

import lief
from unicorn import UC_ARCH_ARM64, UC_ARCH_X86, UC_HOOK_CODE, UC_MODE_64, UC_MODE_ARM, Uc, UcError
from unicorn import arm64_const as arm
from unicorn import x86_const as x86

BASE = 0x1_0000_0000
STUBS = 0x2_0000_0000
STACK = 0x3_0000_0000
DATA = 0x4_0000_0000
RING = 0x5_0000_0000
END = STUBS + 0xF_FFF0

STACK_BYTES = 0x10_0000
DATA_BYTES = 0x10_0000

ERRNO = DATA
VARIABLES = DATA + 0x100
HEAP = DATA + 0x1000

MASK = (1 << 64) - 1


class Wrong(Exception):
    """What the library did is not what it should do."""


class Arm:
    """Apple's arm64."""

    name = "arm64"
    arguments = [getattr(arm, f"UC_ARM64_REG_X{number}") for number in range(8)]
    result = arm.UC_ARM64_REG_X0
    stack = arm.UC_ARM64_REG_SP
    kept = [getattr(arm, f"UC_ARM64_REG_X{number}") for number in range(19, 30)]
    returns = bytes.fromhex("c0035fd6")

    @staticmethod
    def machine():
        machine = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
        machine.ctl_set_cpu_model(arm.UC_CPU_ARM64_MAX)
        return machine

    @staticmethod
    def enter(machine, top):
        machine.reg_write(arm.UC_ARM64_REG_SP, top)
        machine.reg_write(arm.UC_ARM64_REG_X30, END)

    @staticmethod
    def on_stack(machine):
        """Where the first argument lies that is in no register, as a function begins."""
        return machine.reg_read(arm.UC_ARM64_REG_SP)

    @staticmethod
    def left_open(machine, named):
        """An argument that C leaves open: on the stack, whatever registers are free."""
        return struct.unpack("<Q", machine.mem_read(Arm.on_stack(machine), 8))[0]


class Intel:
    """x86-64."""

    name = "x86_64"
    arguments = [
        x86.UC_X86_REG_RDI,
        x86.UC_X86_REG_RSI,
        x86.UC_X86_REG_RDX,
        x86.UC_X86_REG_RCX,
        x86.UC_X86_REG_R8,
        x86.UC_X86_REG_R9,
    ]
    result = x86.UC_X86_REG_RAX
    stack = x86.UC_X86_REG_RSP
    kept = [
        x86.UC_X86_REG_RBX,
        x86.UC_X86_REG_RBP,
        x86.UC_X86_REG_R12,
        x86.UC_X86_REG_R13,
        x86.UC_X86_REG_R14,
        x86.UC_X86_REG_R15,
    ]
    returns = b"\xc3"

    @staticmethod
    def machine():
        return Uc(UC_ARCH_X86, UC_MODE_64)

    @staticmethod
    def enter(machine, top):
        machine.mem_write(top - 8, struct.pack("<Q", END))
        machine.reg_write(x86.UC_X86_REG_RSP, top - 8)

    @staticmethod
    def on_stack(machine):
        return machine.reg_read(x86.UC_X86_REG_RSP) + 8

    @staticmethod
    def left_open(machine, named):
        """An argument that C leaves open: as any other."""
        return machine.reg_read(Intel.arguments[named])


class Machine:
    """The library, loaded."""

    def __init__(self, library, ring):
        binary = lief.parse(library)
        if isinstance(binary, lief.MachO.FatBinary):
            binary = binary.at(0)
        arm_type = lief.MachO.Header.CPU_TYPE.ARM64
        self.abi = Arm if binary.header.cpu_type == arm_type else Intel
        self.cpu = self.abi.machine()
        for segment in binary.segments:
            bytes_mapped = (segment.virtual_size + 0xFFF) & ~0xFFF
            self.cpu.mem_map(BASE + segment.virtual_address, bytes_mapped)
            self.cpu.mem_write(BASE + segment.virtual_address, bytes(segment.content))
        self.cpu.mem_map(STUBS, 0x10_0000)
        self.cpu.mem_map(STACK, STACK_BYTES)
        self.cpu.mem_map(DATA, DATA_BYTES)
        self.cpu.mem_map(RING, len(ring))
        self.cpu.mem_write(RING, ring)
        self.ring_bytes = len(ring)
        for relocation in binary.relocations:
            address = BASE + relocation.address
            self.put_word(address, self.word(address) + BASE)
        self.stubs = {}
        self.names = {}
        for binding in binary.bindings:
            self.put_word(BASE + binding.address, self.stub(binding.symbol.name))
        section = binary.get_section("__interpose")
        self.interposed = {}
        self.bound = {binding.address: binding.symbol.name for binding in binary.bindings}
        for place in range(section.virtual_address, section.virtual_address + section.size, 16):
            self.interposed[self.bound[place + 8].removeprefix("_")] = self.word(BASE + place)
        [constructor] = [
            self.word(BASE + section.virtual_address)
            for section in binary.sections
            if section.name == "__mod_init_func"
        ]
        self.constructor = constructor
        self.heap = HEAP
        # What is asked of libSystem, by its C name: a function of the machine that gives the result.
        self.answers = {}
        # What was asked, in order: the name, the arguments in registers.
        self.asked = []
        self.cpu.hook_add(UC_HOOK_CODE, self.answer, begin=STUBS, end=STUBS + 0xF_0000)
        self.failed = None

    def stub(self, symbol):
        if symbol not in self.stubs:
            address = STUBS + 16 * len(self.stubs)
            self.cpu.mem_write(address, self.abi.returns)
            self.stubs[symbol] = address
            self.names[address] = symbol.removeprefix("_")
        return self.stubs[symbol]

    def word(self, address):
        return struct.unpack("<Q", self.cpu.mem_read(address, 8))[0]

    def put_word(self, address, word):
        self.cpu.mem_write(address, struct.pack("<Q", word & MASK))

    def put_int(self, address, number):
        self.cpu.mem_write(address, struct.pack("<i", number))

    def bytes(self, data, align=16):
        """Data at a new address."""
        address = self.heap
        self.cpu.mem_write(address, data)
        self.heap += (len(data) + align) & ~(align - 1)
        return address

    def string(self, text):
        return self.bytes(text.encode() + b"\0")

    def strings(self, *texts):
        """An array of strings as `environ` is one."""
        places = [self.string(text) for text in texts] + [0]
        return self.bytes(struct.pack(f"<{len(places)}Q", *places))

    def text(self, address):
        found = bytearray()
        while (byte := self.cpu.mem_read(address + len(found), 1)[0]) != 0:
            found.append(byte)
        return found.decode()

    def texts(self, address):
        found = []
        while (place := self.word(address + 8 * len(found))) != 0:
            found.append(self.text(place))
        return found

    @property
    def errno(self):
        return struct.unpack("<i", self.cpu.mem_read(ERRNO, 4))[0]

    @errno.setter
    def errno(self, number):
        self.put_int(ERRNO, number)

    def argument(self, number):
        return self.cpu.reg_read(self.abi.arguments[number])

    def answer(self, cpu, address, size, _):
        name = self.names.get(address)
        if name is None:
            return
        arguments = [cpu.reg_read(register) for register in self.abi.arguments]
        self.asked.append((name, arguments))
        if name not in self.answers:
            self.failed = f"{name} was called, which nobody expected"
            cpu.emu_stop()
            return
        try:
            result = self.answers[name](*arguments)
        except Exception as error:
            self.failed = f"{name}: {error!r}"
            cpu.emu_stop()
            return
        cpu.reg_write(self.abi.result, (result or 0) & MASK)

    def call(self, address, *arguments, stack=()):
        """Calls a function; what is in `stack` lies where the ABI has what is in no register."""
        top = STACK + STACK_BYTES - 0x1000
        if stack:
            self.cpu.mem_write(top, struct.pack(f"<{len(stack)}Q", *stack))
        self.abi.enter(self.cpu, top)
        before = {register: 0x1111_0000 + number for number, register in enumerate(self.abi.kept)}
        for register, value in before.items():
            self.cpu.reg_write(register, value)
        # What no argument is in holds something else.
        padded = list(arguments) + [0xDEAD_BEEF] * (len(self.abi.arguments) - len(arguments))
        for register, argument in zip(self.abi.arguments, padded):
            self.cpu.reg_write(register, argument & MASK)
        self.asked = []
        self.failed = None
        try:
            self.cpu.emu_start(address, END, count=20_000_000)
        except UcError as error:
            raise Wrong(f"{error}, after {[name for name, _ in self.asked]}") from error
        if self.failed:
            raise Wrong(self.failed)
        for register, value in before.items():
            if self.cpu.reg_read(register) != value:
                raise Wrong("a register that calls keep has changed")
        if self.cpu.reg_read(self.abi.stack) != top:
            raise Wrong("the stack is not where it was")
        return self.cpu.reg_read(self.abi.result)

    def ring(self):
        return bytes(self.cpu.mem_read(RING, self.ring_bytes))
