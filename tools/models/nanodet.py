#!/usr/bin/python3
"""Turns NanoDet-g from a TensorFlow.js graph model into OpenVINO IR.

A TensorFlow.js graph model is a TensorFlow GraphDef written as JSON, whose
constants lie outside it, one after another, in a binary file. This program puts
them back, writes the GraphDef in protobuf's wire format (only numpy is needed),
and lets OpenVINO's TensorFlow front end read it and save it as IR.

    nanodet.py nanodet.json nanodet.bin nanodet_g_416.xml
"""

import argparse
import base64
import json
import os
import struct
import sys
import tempfile

import numpy as np

# tensorflow/core/framework/types.proto: the number of each type, and how numpy stores it.
DATA_TYPES = {
    "DT_FLOAT": (1, "<f4"),
    "DT_INT32": (3, "<i4"),
    "DT_INT64": (9, "<i8"),
    "DT_BOOL": (10, "?"),
}

OUTPUTS = ["Identity", "Identity_1", "Identity_2", "Identity_3", "Identity_4", "Identity_5"]

# What the outputs must look like: scores, then distributions, of strides 8, 16 and 32.
OUTPUT_SHAPES = [
    [1, 2704, 80], [1, 676, 80], [1, 169, 80],
    [1, 2704, 44], [1, 676, 44], [1, 169, 44],
]  # fmt: skip


class ConversionError(Exception):
    """The source is not the graph this program knows."""


# --- protobuf's wire format (https://protobuf.dev/programming-guides/encoding/) ---


def varint(value):
    """An int64 or a length; negative numbers take ten bytes, in two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def int_field(number, value):
    return varint(number << 3) + varint(int(value))


def bytes_field(number, value):
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def float_field(number, value):
    return varint(number << 3 | 5) + struct.pack("<f", value)


# --- GraphDef, NodeDef, AttrValue, TensorProto (tensorflow/core/framework/*.proto) ---


def shape_proto(sizes):
    return b"".join(bytes_field(2, int_field(1, size)) for size in sizes)


def tensor_proto(dtype, array):
    number, numpy_type = DATA_TYPES[dtype]
    content = np.ascontiguousarray(array, dtype=numpy_type).tobytes()
    return int_field(1, number) + bytes_field(2, shape_proto(array.shape)) + bytes_field(4, content)


def list_value(value):
    """AttrValue.ListValue: only lists of integers occur, written packed."""
    unknown = set(value) - {"i"}
    if unknown:
        raise ConversionError(f"a list attribute of kind {sorted(unknown)} is not known")
    numbers = b"".join(varint(int(number)) for number in value.get("i", []))
    return bytes_field(3, numbers) if numbers else b""


def attr_value(attr):
    """AttrValue from its JSON form, in which bytes are base64 and int64 are strings."""
    if len(attr) != 1:
        raise ConversionError(f"an attribute has {len(attr)} values")
    ((kind, value),) = attr.items()
    if kind == "s":
        return bytes_field(2, base64.b64decode(value))
    if kind == "i":
        return int_field(3, value)
    if kind == "f":
        return float_field(4, value)
    if kind == "b":
        return int_field(5, value)
    if kind == "type":
        return int_field(6, DATA_TYPES[value][0])
    if kind == "shape":
        sizes = [int(dim.get("size", 0)) for dim in value["shape" if "shape" in value else "dim"]]
        return bytes_field(7, shape_proto(sizes))
    if kind == "list":
        return bytes_field(1, list_value(value))
    raise ConversionError(f"an attribute of kind {kind} is not known")


def node_def(name, op, inputs, attrs):
    """NodeDef; attrs maps names to written AttrValues."""
    out = bytes_field(1, name) + bytes_field(2, op)
    for source in inputs:
        out += bytes_field(3, source)
    for key, value in attrs.items():
        out += bytes_field(5, bytes_field(1, key) + bytes_field(2, value))
    return out


def const_def(name, dtype, array):
    return node_def(name, "Const", [], {
        "dtype": int_field(6, DATA_TYPES[dtype][0]),
        "value": bytes_field(8, tensor_proto(dtype, array)),
    })  # fmt: skip


# --- the TensorFlow.js side ---


def read_weights(model, data):
    """The constants by name. Float weights are stored as float16, which float32 holds exactly."""
    weights = {}
    offset = 0
    for group in model["weightsManifest"]:
        for entry in group["weights"]:
            stored = (entry.get("quantization") or {}).get("dtype", entry["dtype"])
            kinds = {"float16": "<f2", "float32": "<f4", "int32": "<i4", "bool": "?"}
            if stored not in kinds:
                raise ConversionError(f"weights stored as {stored} are not known")
            kind = np.dtype(kinds[stored])
            count = int(np.prod(entry["shape"], dtype=np.int64))
            end = offset + count * kind.itemsize
            if end > len(data):
                raise ConversionError("the weights file is shorter than its list of weights")
            weights[entry["name"]] = np.frombuffer(
                data, kind, count, offset).reshape(entry["shape"])  # fmt: skip
            offset = end
    if offset != len(data):
        raise ConversionError("the weights file is longer than its list of weights")
    return weights


def fold_sparse_to_dense(node, weights):
    """SparseToDense(indices, shape, values, default) of constants, computed here.

    OpenVINO does not know the operation; in this graph it only fills up the shapes that
    Reshape is given, from constants alone.
    """
    indices, shape, values, default = (weights[name] for name in node["input"])
    dense = np.full(shape.tolist(), default, dtype=np.int64)
    if values.size:
        dense[tuple(np.atleast_2d(indices).T)] = values
    return dense


def graph_def(model, weights):
    """The whole graph, frozen, in protobuf's wire format."""
    out = b""
    for node in model["modelTopology"]["node"]:
        name, op = node["name"], node["op"]
        attrs = node.get("attr", {})
        if op == "Const":
            dtype = attrs["dtype"]["type"]
            if name not in weights:
                raise ConversionError(f"the constant {name} has no weights")
            written = const_def(name, dtype, weights[name])
        elif op == "SparseToDense":
            written = const_def(name, attrs["T"]["type"], fold_sparse_to_dense(node, weights))
        elif op.startswith("_"):
            raise ConversionError(f"the fused operation {op} of {name} is not known")
        else:
            # An empty list says what the default says, and not every reader takes it.
            kept = {k: attr_value(v) for k, v in attrs.items() if v != {"list": {}}}
            written = node_def(name, op, node.get("input", []), kept)
        out += bytes_field(1, written)
    # VersionDef: the producer from which on Conv2D and its kin mean what they mean today.
    return out + bytes_field(4, int_field(1, 1087))


def convert(json_path, bin_path, xml_path):
    """Writes xml_path and the .bin beside it."""
    import openvino

    with open(json_path, encoding="utf-8") as file:
        model = json.load(file)
    with open(bin_path, "rb") as file:
        weights = read_weights(model, file.read())
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(xml_path))) as folder:
        frozen = os.path.join(folder, "nanodet.pb")
        with open(frozen, "wb") as file:
            file.write(graph_def(model, weights))
        graph = openvino.Core().read_model(frozen)
        graph = in_order(openvino, graph)
        # The weights came as float16: storing them so again loses nothing.
        openvino.save_model(graph, xml_path, compress_to_fp16=True)


def in_order(openvino, graph):
    """The same graph with its outputs in the documented order, under the documented names."""
    results = []
    for name, shape in zip(OUTPUTS, OUTPUT_SHAPES):
        found = [out for out in graph.outputs if {name, name + ":0"} & out.names]
        if len(found) != 1 or found[0].partial_shape != openvino.PartialShape(shape):
            raise ConversionError(f"the output {name} is not there or not of shape {shape}")
        source = found[0].node.input_value(0)
        source.set_names({name})
        results.append(openvino.opset13.result(source, name=name))
    ordered = openvino.Model(results, graph.get_parameters(), "nanodet_g_416")
    ordered.validate_nodes_and_infer_types()
    return ordered


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("json", help="nanodet.json, the graph")
    parser.add_argument("bin", help="nanodet.bin, its weights")
    parser.add_argument("xml", help="the IR to write; its weights go beside it as .bin")
    args = parser.parse_args()
    try:
        convert(args.json, args.bin, args.xml)
    except ConversionError as error:
        sys.exit(f"nanodet.py: {error}")


if __name__ == "__main__":
    main()
