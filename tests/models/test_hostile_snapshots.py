"""Files made to do harm: each is refused in one sentence, and nothing in it runs."""

import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.pickle_machine import NotASnapshot, SnapshotRefused, UnsafeSnapshot
from models.snapshot_pickle import read
from tests.models.snapshot_files import Module, expected_state, snapshot_bytes

ROOT = Path(__file__).parents[2]
PROTO = b"\x80\x04"


def refusal(tmp_path, raw, kind=SnapshotRefused):
    path = tmp_path / "x.pkl"
    path.write_bytes(raw)
    with pytest.raises(kind) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 600
    return message


class Calls:
    """Pickles as a call of something with some arguments."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module, attribute):
    return text(module) + text(attribute) + b"\x93"


def bytes_of(raw):
    return b"B" + struct.pack("<I", len(raw)) + raw


NOT_SNAPSHOTS = {
    "empty": (b"", "is empty"),
    "web page": (b"<!DOCTYPE html><html>", "is a web page"),
    "web page after a newline": (b"\n  <html>", "is a web page"),
    "git lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "zip": (b"PK\x03\x04" + bytes(60), "ZIP or torch.save archive"),
    "gzip": (b"\x1f\x8b\x08" + bytes(60), "gzip"),
    "text pickle": (b"(lp0\n.", "not a pickle of protocol 2 to 5"),
    "protocol 9": (b"\x80\x09.", "not a pickle of protocol 2 to 5"),
    "noise": (bytes(range(256)), "not a pickle of protocol 2 to 5"),
    "nothing after the start": (PROTO, "truncated"),
    "a list": (pickle.dumps([1, 2]), "holds a list where a snapshot has"),
    "an empty table": (pickle.dumps({}), "holds no network G_ema"),
    "three networks in a row": (pickle.dumps((1, 2, 3)), "TensorFlow"),
    "tensorflow": (PROTO + named("dnnlib.tflib.network", "Network") + b".", "TensorFlow network"),
    "detector": (PROTO + named("torch.jit._pickle", "restore") + b".", "TorchScript"),
    "more than one pickle": (pickle.dumps({}) * 2, "bytes after its end"),
    "stack left over": (PROTO + b"NN.", "damaged"),
    "stack underflow": (PROTO + b"s.", "damaged"),
    "unstored memo": (PROTO + b"h\x07.", "recalls what it never stored"),
}


@pytest.mark.parametrize("case", NOT_SNAPSHOTS)
def test_what_is_no_snapshot_is_named(tmp_path, case):
    raw, finding = NOT_SNAPSHOTS[case]
    message = refusal(tmp_path, raw, NotASnapshot)
    assert finding in message
    assert message.endswith("or download it again")


UNSAFE = {
    "os system": (pickle.dumps(Calls(os.system, "true")), "system"),
    "eval": (pickle.dumps(Calls(eval, "1")), "'builtins eval'"),
    "getattr": (pickle.dumps(Calls(getattr, "", "join")), "'builtins getattr'"),
    "import": (pickle.dumps(Calls(__import__, "os")), "'builtins __import__'"),
    "dotted name": (PROTO + named("collections", "OrderedDict.fromkeys") + b".", "OrderedDict.fro"),
    "dotted module": (PROTO + named("torch", "os.system") + b".", "'torch os.system'"),
    "name that is no text": (PROTO + b"NN\x93.", "not text"),
    "call of a value": (PROTO + text("x") + b")R.", "not a known global"),
    "call of a mere type": (PROTO + named("builtins", "object") + b")R.", "'builtins object'"),
    "attributes on a dict": (PROTO + b"}}" + text("a") + b"Nsb.", "attributes to a dict"),
    "attributes on a name": (PROTO + named("collections", "OrderedDict") + b"}b.", "attributes to"),
    "instance opcode": (PROTO + b"(ios\nsystem\n.", "opcode INST"),
    "object opcode": (PROTO + b"(o.", "opcode OBJ"),
    "extension": (PROTO + b"\x82\x01.", "opcode EXT1"),
    "new object with keywords": (PROTO + b"N)}\x92.", "opcode NEWOBJ_EX"),
    "long of four bytes": (PROTO + b"\x8b\xff\xff\xff\x7f.", "opcode LONG4"),
    "whole number of 200 bytes": (PROTO + b"\x8a\xc8" + bytes(200) + b".", "whole number larger"),
    "key that is a tuple": (PROTO + b"})Ns.", "tuple as a key"),
    "numpy objects": (pickle.dumps(np.array([None])), "numpy data of type 'O8'"),
    "depth of marks": (PROTO + b"(" * 50_000 + b".", "nested deeper"),
    "depth of lists": (PROTO + b"]" * 200_000 + b".", "nested deeper"),
    "endless tuples": (PROTO + b")" + b"\x85" * 500_000 + b".", "more steps"),
    "many sets": (PROTO + b"\x8f\x85" * 100_000 + b".", "more sets"),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_what_no_snapshot_needs_is_refused(tmp_path, case):
    raw, finding = UNSAFE[case]
    message = refusal(tmp_path, raw, UnsafeSnapshot)
    assert finding in message
    assert "nothing in it was run" in message


LENGTHS = {
    "bytes": b"B\xff\xff\xff\xff",
    "long bytes": b"\x8e" + struct.pack("<Q", 2**62),
    "long byte array": b"\x96" + struct.pack("<Q", 2**63 + 5),
    "text": b"X\xff\xff\xff\x7f",
    "long text": b"\x8d" + struct.pack("<Q", 2**40),
    "frame": b"\x95" + struct.pack("<Q", 2**50),
    "name without end": b"c" + b"a" * 5000,
}


@pytest.mark.parametrize("case", LENGTHS)
def test_lengths_beyond_the_file_are_refused(tmp_path, case):
    assert "it" in refusal(tmp_path, PROTO + LENGTHS[case], NotASnapshot)


def storage_blob(dtype="FloatStorage", numel=4, data=None, count=None, module="torch"):
    """A storage's legacy stream with any of its parts falsified."""
    data = bytes(4 * numel) if data is None else data
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    reference = b"\x80\x02(X\x07\x00\x00\x00storage" + f"c{module}\n{dtype}\n".encode()
    reference += b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ" + struct.pack("<i", numel) + b"NtQ."
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    count = numel if count is None else count
    return b"".join([*head, reference, pickle.dumps(["0"], 2), struct.pack("<q", count), data])


def tensor_file(blob, offset=0, shape=(2, 2), strides=(2, 1)):
    """A pickle of one tensor over one storage."""
    args = b"".join(pickle.dumps(part, 2)[2:-1] for part in (offset, shape, strides))
    # Memo numbers of the parts don't clash: nothing recalls them.
    inner = named("torch.storage", "_load_from_bytes") + bytes_of(blob) + b"\x85R"
    return PROTO + named("torch._utils", "_rebuild_tensor") + b"(" + inner + args + b"tR."


def test_a_sound_tensor_passes_as_far_as_the_root(tmp_path):
    message = refusal(tmp_path, tensor_file(storage_blob()), NotASnapshot)
    assert "holds a StoredTensor where a snapshot has a table of networks" in message


SPOILT_TENSORS = {
    "hidden global": (tensor_file(storage_blob("system", module="os")), "'os system' inside"),
    "unlisted type": (tensor_file(storage_blob("ComplexFloatStorage")), "ComplexFloatStorage"),
    "too little data": (tensor_file(storage_blob(data=bytes(15))), "too few or too many bytes"),
    "too much data": (tensor_file(storage_blob(data=bytes(17))), "too few or too many bytes"),
    "two counts": (tensor_file(storage_blob(count=5)), "two counts differ"),
    "negative count": (tensor_file(storage_blob(numel=-4, data=b"")), "unknown description"),
    "another magic": (tensor_file(pickle.dumps(1, 2) * 5), "isn't torch's legacy one"),
    "a call inside": (tensor_file(b"\x80\x02N)R."), "not a known global"),
    "stride beyond": (tensor_file(storage_blob(), strides=(3, 1)), "beyond its storage"),
    "offset beyond": (tensor_file(storage_blob(), offset=1), "beyond its storage"),
    "stride of nought": (tensor_file(storage_blob(), shape=(9, 9), strides=(0, 0)), "beyond its"),
    "negative stride": (tensor_file(storage_blob(), strides=(-2, 1)), "impossible shape"),
    "huge shape": (tensor_file(storage_blob(), shape=(2**39, 2), strides=(0, 0)), "beyond its"),
    "nine axes": (tensor_file(storage_blob(), shape=(1,) * 9, strides=(1,) * 9), "impossible"),
    "axes unlike strides": (tensor_file(storage_blob(), shape=(2,)), "has no shape"),
    "true for a size": (tensor_file(storage_blob(), shape=(True, 2)), "impossible shape"),
}


@pytest.mark.parametrize("case", SPOILT_TENSORS)
def test_a_tensor_or_storage_that_lies_is_refused(tmp_path, case):
    raw, finding = SPOILT_TENSORS[case]
    assert finding in refusal(tmp_path, raw)


def test_a_storage_written_by_torch_with_code_inside_is_refused(tmp_path):
    blob = pickle.dumps(Calls(os.system, "true"), 2)
    assert "inside a tensor storage" in refusal(tmp_path, tensor_file(blob), UnsafeSnapshot)


def test_weights_that_are_not_finite_are_named(tmp_path):
    state = expected_state("stylegan3-t")
    state["mapping.fc0.bias"] = torch.tensor([1.0, float("nan")] * 4)
    message = refusal(tmp_path, snapshot_bytes(state=state), NotASnapshot)
    assert "mapping.fc0.bias that are not finite" in message


@pytest.mark.parametrize(("levels", "names"), [(30, "a"), (11, "ab")])
def test_modules_within_modules_without_end_are_refused(tmp_path, levels, names):
    inner = None
    for _ in range(levels):
        inner = Module("Inner", {"_modules": {name: inner for name in names}})

    def change(attributes, kwargs):
        attributes["mapping.fc0"] = {"_modules": {"inner": inner}}

    raw = snapshot_bytes(change=change)
    assert "more modules, or deeper ones" in refusal(tmp_path, raw, UnsafeSnapshot)


def test_a_network_that_contains_itself_is_refused(tmp_path):
    start = named("torch_utils.persistence", "_reconstruct_persistent_obj")
    meta = b"}(" + text("type") + text("class") + text("version") + b"K\x06"
    meta += text("module_src") + text("") + text("class_name") + text("Generator")
    meta += text("state") + b"}" + text("_modules") + b"h\x01su"
    network = start + meta + b"\x85Rq\x02"
    later = b"h\x01" + text("synthesis") + b"h\x02s" + text("mapping") + b"h\x02s"
    loop = PROTO + b"}(" + text("first") + b"}q\x01" + text("G_ema") + network
    loop += text("again") + later + b"u."
    assert "unknown structure" in refusal(tmp_path, loop)


def test_a_truncated_snapshot_is_refused_wherever_it_ends(tmp_path):
    raw = snapshot_bytes()
    for end in range(1, len(raw), len(raw) // 40):
        refusal(tmp_path, raw[:end])


def test_a_folder_or_missing_file_is_refused(tmp_path):
    with pytest.raises(NotASnapshot, match="Is a directory"):
        read(tmp_path)
    with pytest.raises(NotASnapshot, match="No such file"):
        read(tmp_path / "nothing.pkl")


# Runs in a process of its own: an audit hook sees every import, exec and system call that the
# reading would cause, and the address space is limited.
FUZZ = """
import pickletools, random, resource, sys, tempfile
from pathlib import Path
from models.pickle_machine import SnapshotRefused
from models.snapshot_pickle import read

raw = Path(sys.argv[1]).read_bytes()
path = Path(sys.argv[1]).with_name("mutant.pkl")
read(Path(sys.argv[1]))
places = [place for _, _, place in pickletools.genops(raw)]
watching = False
ALLOWED = {"open", "builtins.id", "object.__getattr__", "sys._getframe"}

def hook(event, args):
    if watching and event not in ALLOWED:
        sys.stderr.write(f"AUDIT {event} {args}")
        sys.exit(3)

def mutant(rng):
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = min(rng.choice(places) + rng.randrange(4), len(data) - 1)
        kind = rng.randrange(6)
        if kind == 0:
            data[place] = rng.randrange(256)
        elif kind == 1:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[place : place + rng.choice((1, 2, 8, 100))]
        elif kind == 3:
            start = rng.choice(places)
            data[place:place] = data[start : start + rng.choice((1, 2, 40, 3000))]
        elif kind == 4:
            data[place : place + 4] = rng.choice((b"\\xff\\xff\\xff\\x7f", b"\\xff" * 4, bytes(4)))
        else:
            data[place : place + 1] = rng.choice((b"R", b"b", b"\\x81", b"Q", b"c", b"\\x93", b"o"))
    return bytes(data)

sys.addaudithook(hook)
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
passed = 0
for seed in range(int(sys.argv[2])):
    path.write_bytes(mutant(random.Random(seed)))
    watching = True
    try:
        read(path)
        passed += 1
    except SnapshotRefused as error:
        assert "\\n" not in str(error), seed
    finally:
        watching = False
grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert grown_kib < 64 * 1024, grown_kib
sys.stdout.write(f"{passed} passed, grown {grown_kib} KiB")
"""


@pytest.mark.parametrize(("kind", "protocol"), [("stylegan3-t", 4), ("stylegan2", 2)])
def test_mutated_snapshots_neither_run_nor_crash_nor_swell(tmp_path, kind, protocol):
    path = tmp_path / "sound.pkl"
    path.write_bytes(snapshot_bytes(kind, protocol, only_g_ema=True))
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(path), "250"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "passed" in done.stdout
