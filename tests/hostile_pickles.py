"""Hostile pickles by title: each would call, import, overrun or exhaust an unsafe reader.

`HOSTILE` are files that have to be refused; `CALLS` are those of them that call something. `TRAPS`
have to be read, since their hostile part is never evaluated.
"""

import struct
from itertools import product

import torch
from pickled import (
    call,
    file,
    get,
    items,
    name,
    network,
    number,
    pairs,
    put,
    raw,
    state,
    storage,
    tensor,
    text,
)

__all__ = ["CALLS", "HOSTILE", "TRAPS"]

EFFECT = "import os; os.environ['HOSTILE_PICKLE_RAN'] = '1'"
EXEC, SYSTEM = name("builtins", "exec"), name("posix", "system")
RUN = call(EXEC, text(EFFECT))
NUMBERS = torch.arange(6.0)
STORED = raw(storage(NUMBERS))
MEGABYTE = raw(storage(torch.zeros(2**18)))
ARRAY = call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), items(), b"N")
FLOATS = call(name("numpy", "dtype"), text("f8"), b"\x89", b"\x88")
OBJECTS = call(name("numpy", "dtype"), text("O8"), b"\x89", b"\x88")


def of(**changes: bytes) -> bytes:
    """A file whose network has these attributes."""
    return file(network(state(**changes)))


def weight(piece: bytes) -> bytes:
    """A file whose network has one parameter."""
    return of(_parameters=pairs({"weight": piece}))


def view(*sizes: int, strides: tuple[int, ...], offset: int = 0, stored: bytes = STORED) -> bytes:
    return weight(tensor(stored, sizes=sizes, strides=strides, offset=offset))


def inner(
    system: bytes, described: bytes, *, count: int = 1, content: bytes = b"\0\0\0\0"
) -> bytes:
    """A file with a storage of one's own making."""
    head = [number(0x1950A86A20F9469CFC6C), number(1001), system, described, b"]"]
    stored = b"".join(b"\x80\x02" + piece + b"." for piece in head)
    return view(1, strides=(1,), stored=raw(stored + struct.pack("<q", count) + content))


def described(kind: bytes, count: int) -> bytes:
    return items(text("storage"), kind, text("0"), text("cpu"), number(count), b"N") + b"Q"


def float_number(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)


def doubling(first: bytes, join: bytes, *, times: int) -> bytes:
    """A value of two of a value of two of …, each of which is written down once."""
    steps = b"".join(get(step) + get(step) + join + put(step + 1) + b"0" for step in range(times))
    return first + put(0) + b"0" + steps + get(times)


LITTLE = pairs({"little_endian": b"\x88"})
FLOAT = name("torch", "FloatStorage")
WHOLE = weight(tensor(STORED, sizes=(6,), strides=(1,)))

CALLS = {
    "a call in place of the network": file(RUN),
    "a call inside the network": of(training=RUN),
    "a call among the constructor's arguments": of(_init_kwargs=pairs({"z_dim": RUN})),
    "a call as a parameter": weight(RUN),
    "a call as a submodule": of(_modules=pairs({"mapping": RUN})),
    "a call as the class's name": file(network(class_name=RUN)),
    "a call as a key": file(network(b"(" + RUN + b"Nd")),
    "a hook": of(_forward_hooks=pairs({"0": name("posix", "system")})),
    "a hook that was called": of(_forward_pre_hooks=pairs({"0": RUN})),
    "an instance": of(training=b"(" + text(EFFECT) + b"ibuiltins\nexec\n"),
    "an old instance": of(training=b"(" + EXEC + text(EFFECT) + b"o"),
    "a new object": of(training=name("subprocess", "Popen") + items(text("true")) + b"\x81"),
    "a new object with keywords": of(training=EXEC + items(text(EFFECT)) + b"}\x92"),
    "a state for a module": of(training=name("os", "environ") + pairs({"A": text("B")}) + b"b"),
    "a state for a call": of(training=call(name("types", "SimpleNamespace")) + RUN + b"b"),
    "a state for a list": of(training=b"]" + pairs({"append": RUN}) + b"b"),
    "an extension's code": of(training=b"\x82\x01"),
    "a persistent id": of(training=RUN + b"Q"),
    "a chain of attributes": of(
        training=call(call(name("builtins", "getattr"), name("os", "path"), text("os")), b"N")
    ),
    "a name with dots": file(b"\x8c\x02os\x8c\x12environ.setdefault\x93" + items() + b"R"),
    "a name that is no text": file(b"K\x01K\x02\x93"),
    "a call of what a call returned": file(call(call(name("operator", "attrgetter"), RUN), RUN)),
    "dill's import": of(training=call(name("dill._dill", "_import_module"), text("antigravity"))),
    "dill's types": of(training=call(call(name("dill._dill", "_load_type"), text("exec")), RUN)),
    "dill's code": of(training=call(name("dill._dill", "_create_code"), RUN)),
    "a partial": of(training=call(name("functools", "partial"), EXEC, text(EFFECT))),
    "a factory of missing values": of(training=call(name("collections", "defaultdict"), EXEC)),
    "a reconstructor of another class": of(
        training=call(name("copyreg", "_reconstructor"), name("os", "_wrap_close"), EXEC, RUN)
    ),
    "a codec": of(training=call(name("_codecs", "encode"), text("A"), text("idna"))),
    "an array of objects": of(
        training=ARRAY + items(b"K\x01", items(number(1)), OBJECTS, b"\x89", raw(b"\0" * 8)) + b"b"
    ),
    "a scalar that is an object": of(
        training=call(name("numpy.core.multiarray", "scalar"), OBJECTS, raw(file(RUN)))
    ),
    "a pickle in a storage": view(1, strides=(1,), stored=raw(b"\x80\x02" + RUN + b".")),
    "a call in a storage": inner(LITTLE, described(SYSTEM, 1)),
    "a storage that is a call": inner(LITTLE, RUN),
    "a storage by torch.load": weight(call(name("torch.serialization", "load"), STORED)),
}
STORAGES = {
    "a stride beyond the end": view(2, strides=(6,)),
    "an offset beyond the end": view(1, strides=(1,), offset=6),
    "a negative offset": view(1, strides=(1,), offset=-1),
    "a negative stride": view(2, strides=(-1,), offset=3),
    "a negative size": view(-1, strides=(1,)),
    "sizes without strides": view(2, 2, strides=(1,)),
    "sizes that overflow": view(2**40, 2**40, 0, strides=(1, 1, 1)),
    "a number repeated without end": view(2**40, strides=(0,)),
    "a number repeated often": view(2**25, strides=(0,)),
    "many dimensions": view(*[1] * 1000, strides=(1,) * 1000),
    "more elements than bytes": inner(LITTLE, described(FLOAT, 2**40), count=2**40),
    "fewer elements than bytes": inner(LITTLE, described(FLOAT, 1), content=bytes(8)),
    "negative elements": inner(LITTLE, described(FLOAT, -1), count=-1),
    "two counts": inner(LITTLE, described(FLOAT, 1), count=2),
    "big-endian numbers": inner(pairs({"little_endian": b"\x89"}), described(FLOAT, 1)),
    "quantised numbers": inner(LITTLE, described(name("torch", "QInt32Storage"), 1)),
    "a truth value of two": inner(
        LITTLE, described(name("torch", "BoolStorage"), 1), content=b"\2"
    ),
    "a storage of nothing": view(1, strides=(1,), stored=raw(b"")),
    "an array beyond its bytes": of(
        training=ARRAY + items(b"K\x01", items(number(2**50)), FLOATS, b"\x89", raw(b"")) + b"b"
    ),
    "an empty array of overflowing sizes": of(
        training=ARRAY
        + items(b"K\x01", items(*[number(2**61)] * 3, number(0)), FLOATS, b"\x89", raw(b""))
        + b"b"
    ),
}
SIZES = {
    "a text of 2 GiB": file(b"X\xff\xff\xff\x7f"),
    "bytes of 4 GiB": file(b"B\xff\xff\xff\xff"),
    "bytes of an exbibyte": file(b"\x8e" + struct.pack("<Q", 2**60)),
    "bytes of more than memory's addresses": file(b"\x8e" + struct.pack("<Q", 2**64 - 1)),
    "a writable buffer of an exbibyte": file(b"\x96" + struct.pack("<Q", 2**60)),
    "an integer of 2 GiB": file(b"\x8b\xff\xff\xff\x7f"),
    "an integer of negative length": file(b"\x8b\xff\xff\xff\xff"),
    "an integer of a megabyte": of(training=b"\x8b" + struct.pack("<i", 2**20) + b"\x7f" * 2**20),
    "an integer of endless digits": of(training=b"L" + b"9" * 2**20 + b"L\n"),
    "a frame of an exbibyte": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + file(b"N")[2:],
    "the last place of the memo": file(b"N" + put(2**32 - 1)),
    "a line without end": file(b"c" + b"a" * 2**20),
    "a million lists": file(b"]" * 600_000),
    "a million marks": file(b"(" * 600_000),
    "a million copies": file(b"]" + b"2" * 600_000),
    "an integer as a key from 2**60 on": of(training=b"}" + number(2**60) + b"Ns"),
    "a negative integer as a key from 2**60 on": of(training=b"}" + number(-(2**60)) + b"Ns"),
    "keys whose hashes collide": of(
        training=b"}("
        + b"".join(
            items(*(float_number(2.0 ** (61 * power)) for power in powers)) + b"N"
            for powers in product(range(17), repeat=3)
        )
        + b"u"
    ),
    "endless names": of(
        training=text("a" * 2**20) + put(0) + b"0(" + (get(0) + get(0) + b"\x93") * 10_000 + b"t"
    ),
}
SHARING = {
    "tuples of tuples": of(training=doubling(b")", b"\x86", times=60)),
    "lists of lists": of(training=doubling(b"]", b"\x86", times=60)),
    "dictionaries of dictionaries": of(
        training=doubling(b"}", b"\x86", times=1)
        + b"0}"
        + put(0)
        + b"0"
        + b"".join(
            pairs({"a": get(step), "b": get(step)}) + put(step + 1) + b"0" for step in range(60)
        )
        + get(60)
    ),
    "a key of tuples of tuples": of(training=b"(" + doubling(b")", b"\x86", times=60) + b"Nd"),
    "a member of tuples of tuples": of(
        training=call(name("builtins", "set"), b"(" + doubling(b")", b"\x86", times=60) + b"l")
    ),
    "modules of modules": file(
        b"".join(
            [network(), put(0), b"0"]
            + [
                network(state(_modules=pairs({"a": get(step), "b": get(step)})))
                + put(step + 1)
                + b"0"
                for step in range(60)
            ]
        )
        + get(60)
    ),
    "a text many times": of(training=text("a" * 2**16) + put(0) + b"0(" + get(0) * 40_000 + b"t"),
    "a tensor ten thousand times": of(
        _buffers=b"("
        + text("first")
        + tensor(MEGABYTE, sizes=(2**18,), strides=(1,))
        + put(0)
        + b"".join(text(f"b{index}") + get(0) for index in range(10_000))
        + b"d"
    ),
    "views of one storage": file(
        network(
            state(
                _buffers=pairs(
                    {
                        f"b{index}": tensor(get(0), sizes=(2**18,), strides=(1,))
                        for index in range(1000)
                    }
                )
            )
        ),
        before=MEGABYTE + put(0) + b"0",
    ),
    "a state that many modules share": file(
        network(state(_modules=pairs({f"m{index}": network(get(0)) for index in range(5000)}))),
        before=state(**{f"_{index}": b"N" for index in range(10_000)}) + put(0) + b"0",
    ),
    "arguments that many modules share": file(
        network(state(_modules=pairs({f"m{index}": network(get(0)) for index in range(5000)}))),
        before=state(_init_args=b"(" + b"N" * 10_000 + b"t") + put(0) + b"0",
    ),
    "an endless name of a buffer": of(_buffers=pairs({"b" * 40_000: b"N"})),
    "long names of nested modules": file(
        text("m" * 250)
        + put(0)
        + b"0"
        + network(
            state(
                _buffers=b"("
                + text("first")
                + tensor(STORED, sizes=(1,), strides=(1,))
                + put(2)
                + b"".join(text(f"b{index}") + get(2) for index in range(10_000))
                + b"d"
            )
        )
        + put(1)
        + b"0"
        + b"".join(
            network(state(_modules=b"(" + get(0) + get(1) + b"d")) + put(1) + b"0"
            for _ in range(90)
        )
        + get(1)
    ),
}
RECURSION = {
    "a list in itself": of(training=b"]" + put(0) + get(0) + b"a"),
    "a list in itself, twice": of(training=b"]" + put(0) + get(0) + b"a" + get(0) + b"a"),
    "a dictionary in itself": of(training=b"}" + put(0) + text("a") + get(0) + b"s"),
    "a call of itself": of(training=EXEC + b"]" + put(0) + get(0) + b"a" + b"R"),
    "a module in itself": file(
        name("torch.nn.modules.container", "Sequential")
        + b")\x81"
        + put(0)
        + state(_modules=pairs({"0": get(0)}))
        + b"b"
    ),
    "lists very deep": of(training=b"]" * 40_000 + b"a" * 39_999),
    "tuples very deep": of(training=b")" + b"\x85" * 40_000),
    "calls very deep": of(training=b")" + (b"\x85" + EXEC + b"\x85\x86") * 30_000),
    "functions very deep": of(training=EXEC + b")R" * 40_000),
    "modules two hundred deep": file(
        b"".join(
            [network(), put(0), b"0"]
            + [network(state(_modules=pairs({"a": get(0)}))) + put(0) + b"0" for _ in range(200)]
        )
        + get(0)
    ),
}
DAMAGE = {
    "nothing": b"",
    "no pickle": b"PK\x03\x04 no pickle",
    "no end": WHOLE[:-1],
    "an end at once": b"\x80\x02.",
    "a half": WHOLE[: len(WHOLE) // 2],
    "an unknown protocol": b"\x80\xff" + WHOLE[2:-20],
    "an unknown instruction": of(training=b"\xff"),
    "a memo without the value": of(training=get(7)),
    "a pop of nothing": b"\x80\x020" + WHOLE[2:],
    "a mark that is missing": b"\x80\x02t" + WHOLE[2:],
    "two values from a stack of one": b"\x80\x02N\x86.",
    "two values from both sides of a mark": of(training=b"N(N\x86t0"),
    "a second state": of(training=call(name("collections", "OrderedDict")) + b"}b}b"),
    "a state for a class": of(training=name("collections", "OrderedDict") + b"}b"),
    "items for a class": of(training=name("collections", "OrderedDict") + text("a") + b"Ns"),
    "a key without a value": file(network(b"(" + text("a") + b"d")),
    "items of a number": of(training=b"K\x01" + text("a") + b"Ns"),
    "an append to a text": of(training=text("a") + b"Na"),
    "a text that is no UTF-8": of(training=b"X\x02\0\0\0\xff\xfe"),
    "a buffer that isn't there": of(training=b"\x97"),
    "a key that is a list": of(training=b"(]Nd"),
    "a member that is a list": of(training=call(name("builtins", "set"), b"(]l")),
    "an attribute whose name is a number": file(network(b"(K\x01Nd")),
    "a set of buffers that is a list": of(_non_persistent_buffers_set=b"(]l"),
    "a parameter that is a text": weight(text("a")),
    "a submodule that is a tensor": of(
        _modules=pairs({"a": tensor(STORED, sizes=(1,), strides=(1,))})
    ),
    "a parameter with dots": of(_parameters=pairs({"a.b": b"N"})),
    "parameters that are a list": of(_parameters=b"]"),
    "arguments that are a list": of(_init_kwargs=b"]"),
    "a network that is a text": file(text("G")),
    "a network that is nothing": file(b"N"),
    "a network that is a tensor": file(tensor(STORED, sizes=(1,), strides=(1,))),
    "a network without modules": file(network(b"}")),
    "a class of torch without a state": file(name("torch.nn.modules.linear", "Linear") + b")\x81"),
    "no dictionary": b"\x80\x02]" + b".",
    "another key": b"\x80\x02" + pairs({"generator": network()}) + b".",
}
TRAPS = {
    "the text of a module": file(network(source=EFFECT)),
    "a call under another key": file(network(), D=RUN),
    "an unknown class under another key": file(network(), D=name("os", "_wrap_close") + b")\x81"),
    "a call that is thrown away": file(network(), before=RUN + b"0"),
    "a call that is only remembered": file(network(), before=RUN + put(9) + b"0"),
    "what comes after the end": file(network()) + RUN + b".",
    "an endless name under another key": file(network(), D=b"cos\n" + b"a" * 2**20 + b"\n"),
    "tuples of tuples under another key": file(network(), D=doubling(b")", b"\x86", times=60)),
    "a list in itself under another key": file(network(), D=b"]" + put(0) + get(0) + b"a"),
    "a class whose name is a program": file(network(class_name=text(EFFECT))),
    "a state of dictionaries": of(
        training=call(name("collections", "OrderedDict")) * 20_000 + b"b" * 19_999
    ),
    "a float of endless digits": of(training=b"F" + b"9" * 2**20 + b"\n"),
}
HOSTILE = {**CALLS, **STORAGES, **SIZES, **SHARING, **RECURSION, **DAMAGE}
