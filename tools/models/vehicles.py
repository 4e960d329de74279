#!/usr/bin/python3
"""Makes of a detector of 80 classes one that knows vehicles alone: vehicles.py SOURCE.{onnx,xml} DEST.xml [--input JSON]

For the heads of PicoDet and NanoDet, whose last convolution of each stride gives the scores of all classes and the four sides'
distributions together. Its rows of the other 76 classes are left out; what is kept computes what it computed before. The outputs keep
their names and their order; the scores are (cells x 4), in the order of CLASSES.

What else costs time and says nothing is taken out on the way: channel shuffles, transpositions of the outputs, and so on (graph.py,
shuffles.py). With --input, the sidecar's `input`, the network takes bytes as they lie in a picture, and the sidecar must then say BYTES.
A fifth to a quarter of PicoDet's time is saved, and half of its memory.
"""

import argparse
import json
import os
import sys

# Of the 80 names of COCO, counted from 0, and what they are called in the order that the outputs then have.
KEPT = (2, 3, 5, 7)
CLASSES = ("car", "motorcycle", "bus", "truck")
ALL = 80
BYTES = {"layout": "nhwc", "type": "u8", "scale": 1.0, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}


class UnknownHead(Exception):
    """The network does not end as these heads end."""


def producer(node, index, kind):
    """The node that feeds the input; UnknownHead unless it is of this kind."""
    found = node.input_value(index).get_node()
    if found.get_type_name() != kind:
        raise UnknownHead(f"{found.get_friendly_name()} is {found.get_type_name()}, not {kind}")
    return found


def head(result):
    """One output (scores or sides of a stride), from a convolution of its own: (cells x values) is the order in which that computes."""
    import numpy
    from openvino import opset13 as ops

    import graph as graphs

    transpose = producer(result, 0, "Transpose")
    reshape = producer(transpose, 0, "Reshape")
    above = reshape.input_value(0).get_node()
    scores = above.get_type_name() == "Sigmoid"
    split = producer(above, 0, "VariadicSplit") if scores else producer(reshape, 0, "VariadicSplit")
    add = producer(split, 0, "Add")
    last = producer(add, 0, "Convolution")
    classes = split.output(0).get_partial_shape()[1].get_length()
    if classes != ALL or split.get_output_size() != 2:
        raise UnknownHead(f"{split.get_friendly_name()} gives {classes} scores, not {ALL}")
    weights, bias = graphs.values(last.input_value(1)), graphs.values(add.input_value(1))
    if weights is None or bias is None or list(weights.shape[2:]) != [1, 1]:
        raise UnknownHead(f"{last.get_friendly_name()} is no plain convolution")
    rows = list(KEPT) if scores else list(range(classes, weights.shape[0]))
    out = graphs.convolution(last.input_value(0), weights[rows], bias.reshape(1, -1, 1, 1)[:, rows])
    out = ops.transpose(ops.sigmoid(out) if scores else out, numpy.array([0, 2, 3, 1]))
    out = ops.reshape(out, numpy.array([1, -1, len(rows)]), False)
    out.set_friendly_name(transpose.get_friendly_name())
    out.output(0).set_names(result.input_value(0).get_names())
    return ops.result(out), scores


def convert(source, destination, spec=None):
    """Writes destination and the .bin beside it. Raises UnknownHead."""
    import openvino

    import graph as graphs
    import shuffles

    graph = openvino.Core().read_model(source)
    # Weights that came as float16 lose nothing when they are stored so again; others would.
    halves = any(node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.f16 for node in graph.get_ordered_ops())
    graphs.fold(graph)
    heads = [head(output.get_node()) for output in graph.outputs]
    if sum(scores for _, scores in heads) * 2 != len(heads):
        raise UnknownHead("the outputs are not scores and sides of each stride")
    graph = openvino.Model([result for result, _ in heads], graph.get_parameters(), graph.get_friendly_name())
    shuffles.remove(graph)
    graphs.convolve_before_enlarging(graph)
    graphs.fold_hard_sigmoids(graph)
    if spec:
        graph = graphs.take_bytes(graph, spec)
    graph.validate_nodes_and_infer_types()
    openvino.save_model(graph, destination, compress_to_fp16=halves)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("source", help="the network, .onnx or .xml")
    parser.add_argument("xml", help="the IR to write; its weights go beside it as .bin")
    parser.add_argument("--input", type=json.loads, help="how the source is fed, as its sidecar says")
    args = parser.parse_args()
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    try:
        convert(args.source, args.xml, args.input)
    except UnknownHead as error:
        sys.exit(f"vehicles.py: {error}")


if __name__ == "__main__":
    main()
