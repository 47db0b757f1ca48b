"""inspect-binary.py FILE TARGET: what a built addon asks of the system that loads it, as JSON {about, wrong}.

Owns reading ELF, Mach-O and PE (through lief) and the list of what Node's oldest supported systems have. TARGET is an
entry of targets.mjs as JSON. Called by package-native.mjs.
"""

import json
import sys

import lief

ENTRY = "napi_register_module_v1"
# what every such system has; everything else must be inside the binary
ALLOWED = {
    "linux": {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so"},
    "darwin": {"/usr/lib/libSystem.B.dylib"},
    "win32": {"kernel32.dll", "node.exe", "ntdll.dll", "api-ms-win-core-synch-l1-2-0.dll"},
}


def newest_glibc(binary):
    versions = [
        aux.name
        for requirement in binary.symbols_version_requirement
        for aux in requirement.get_auxiliary_symbols()
        if aux.name.startswith("GLIBC_2")
    ]
    return max((tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in versions), default=None)


def elf(path, target):
    binary = lief.ELF.parse(path)
    about, wrong = [], []
    machine = {"x64": lief.ELF.ARCH.X86_64, "arm64": lief.ELF.ARCH.AARCH64}[target["cpu"]]
    if binary.header.machine_type != machine:
        wrong.append(f"expected {machine}, got {binary.header.machine_type}")
    newest = newest_glibc(binary)
    if newest is not None:
        about.append("glibc " + ".".join(map(str, newest)))
        if target["libc"] != "glibc" or newest > (2, 28):
            wrong.append(f"expected glibc 2.28 at most, or none, got {newest}")
    return binary.libraries, {symbol.name for symbol in binary.exported_symbols}, about, wrong


def mach_o(path, target):
    binary = lief.MachO.parse(path).at(0)
    about, wrong = [], []
    cpu = {"x64": lief.MachO.Header.CPU_TYPE.X86_64, "arm64": lief.MachO.Header.CPU_TYPE.ARM64}[target["cpu"]]
    if binary.header.cpu_type != cpu:
        wrong.append(f"expected {cpu}, got {binary.header.cpu_type}")
    oldest = ".".join(map(str, list(binary.build_version.minos)[:2]))
    about.append(f"macOS {oldest} or newer")
    if oldest != "11.0":
        wrong.append(f"expected macOS 11.0, got {oldest}")
    about.append("signed ad hoc" if binary.has_code_signature else "not signed")
    if target["cpu"] == "arm64" and not binary.has_code_signature:
        wrong.append("macOS on arm64 loads nothing that is not signed, ad hoc at least")
    exported = {symbol.name.removeprefix("_") for symbol in binary.exported_symbols}
    # its own name is listed as a library; the linker exports marks of its own and weak operators, which nobody calls
    own = lief.MachO.LoadCommand.TYPE.ID_DYLIB
    libraries = [library.name for library in binary.libraries if library.command != own]
    return libraries, {name for name in exported if not name.startswith(("_Zn", "_Zd", "__dso", "_mh_"))}, about, wrong


def pe(path, target):
    binary = lief.PE.parse(path)
    wrong = []
    machine = {"x64": lief.PE.Header.MACHINE_TYPES.AMD64, "arm64": lief.PE.Header.MACHINE_TYPES.ARM64}[target["cpu"]]
    if binary.header.machine != machine:
        wrong.append(f"expected {machine}, got {binary.header.machine}")
    names = [entry.name.lower() for entry in binary.imports]
    if "node.exe" not in names:
        wrong.append("expected Node-API from node.exe")
    # the universal C runtime comes with Windows 10
    libraries = [name for name in names if not name.startswith("api-ms-win-crt-")]
    about = [f"{len(names) - len(libraries)} parts of the universal C runtime"]
    return libraries, {entry.name for entry in binary.get_export().entries}, about, wrong


def main():
    path, target = sys.argv[1], json.loads(sys.argv[2])
    read = {"linux": elf, "darwin": mach_o, "win32": pe}[target["os"]]
    libraries, exported, about, wrong = read(path, target)
    foreign = sorted(set(libraries) - ALLOWED[target["os"]])
    if foreign:
        wrong.append("libraries that not every system has: " + ", ".join(foreign))
    if ENTRY not in exported:
        wrong.append(f"does not export {ENTRY}")
    extra = sorted(name for name in exported if not name.startswith(("napi_register", "node_api_module")))
    if extra:
        wrong.append(f"exports {len(extra)} names more than Node-API needs: " + ", ".join(extra[:5]))
    about.append("needs " + (", ".join(libraries) or "nothing"))
    print(json.dumps({"about": about, "wrong": wrong}))


main()
