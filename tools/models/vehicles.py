#!/usr/bin/python3
"""Makes of a detector of 80 classes one that knows vehicles alone: vehicles.py SOURCE.{onnx,xml} DEST.xml

For the heads of PicoDet and NanoDet, whose last convolution of each stride gives the scores of all classes and the four sides'
distributions together. Its rows of the other 76 classes are left out; what is kept computes what it computed before. The outputs keep
their names and their order; the scores are (cells x 4), in the order of CLASSES. It saves about a tenth of the time and half of the memory.
"""

import argparse
import sys

# Of the 80 names of COCO, counted from 0, and what they are called in the order that the outputs then have.
KEPT = (2, 3, 5, 7)
CLASSES = ("car", "motorcycle", "bus", "truck")
ALL = 80


class UnknownHead(Exception):
    """The network does not end as these heads end."""


def producer(node, index, kind):
    """The node that feeds the input; UnknownHead unless it is of this kind."""
    found = node.input_value(index).get_node()
    if found.get_type_name() not in kind:
        raise UnknownHead(f"{found.get_friendly_name()} is {found.get_type_name()}, not {' or '.join(kind)}")
    return found


def slim(openvino, numpy, result):
    """Leaves the other classes out of one output of scores; other outputs stay as they are. True when it was one of scores."""
    ops = openvino.opset13
    transpose = producer(result, 0, ("Transpose",))
    reshape = producer(transpose, 0, ("Reshape",))
    sigmoid = reshape.input_value(0).get_node()
    if sigmoid.get_type_name() != "Sigmoid":
        return False
    split = producer(sigmoid, 0, ("VariadicSplit",))
    add = producer(split, 0, ("Add",))
    convolution = producer(add, 0, ("Convolution",))
    scores, sides = (split.output(i).get_partial_shape()[1].get_length() for i in (0, 1))
    if scores != ALL or split.get_output_size() != 2:
        raise UnknownHead(f"{split.get_friendly_name()} gives {scores} scores, not {ALL}")
    rows = ops.constant(numpy.array([*KEPT, *range(scores, scores + sides)], numpy.int64))
    for node, axis in ((convolution, 0), (add, 1)):
        kept = ops.gather(node.input_value(1), rows, ops.constant(numpy.int64(axis)))
        node.input(1).replace_source_output(kept.output(0))
    split.input(2).replace_source_output(ops.constant(numpy.array([len(KEPT), sides], numpy.int64)).output(0))
    reshape.input(1).replace_source_output(ops.constant(numpy.array([1, len(KEPT), -1], numpy.int64)).output(0))
    return True


def convert(source, destination):
    """Writes destination and the .bin beside it. Raises UnknownHead."""
    import numpy
    import openvino
    from openvino.passes import ConstantFolding, Manager

    graph = openvino.Core().read_model(source)
    # Weights that came as float16 lose nothing when they are stored so again; others would.
    halves = any(node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.f16 for node in graph.get_ops())
    if sum(slim(openvino, numpy, output.get_node()) for output in graph.outputs) * 2 != len(graph.outputs):
        raise UnknownHead("the outputs are not scores and sides of each stride")
    graph.validate_nodes_and_infer_types()
    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(graph)
    openvino.save_model(graph, destination, compress_to_fp16=halves)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("source", help="the network, .onnx or .xml")
    parser.add_argument("xml", help="the IR to write; its weights go beside it as .bin")
    args = parser.parse_args()
    try:
        convert(args.source, args.xml)
    except UnknownHead as error:
        sys.exit(f"vehicles.py: {error}")


if __name__ == "__main__":
    main()
