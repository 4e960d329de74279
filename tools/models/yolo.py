#!/usr/bin/python3
"""Makes of a detector as Ultralytics exports it (YOLOv8, v9, v11, v12) one that knows vehicles alone: yolo.py SOURCE.{onnx,xml} DEST.xml

Its export joins the results of all strides, scores of all classes and the four sides' distributions, in an order that the network does not
compute in, and decodes every cell. Here each stride gives its scores of the vehicles and its distributions as they come, as PicoDet does,
and the program decodes the few cells that matter. DEST.json beside it says so. What was made is run and compared before it is kept.
"""

import argparse
import ast
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# The names of classes that are vehicles, in the order that the network then has.
NAMES = {
    "car": ("car", "carro"),
    "motorcycle": ("motorcycle", "motorbike", "moto", "motocicleta"),
    "bus": ("bus", "onibus", "\u00f4nibus"),
    "truck": ("truck", "caminhao", "caminh\u00e3o"),
}
COCO = {"car": 2, "motorcycle": 3, "bus": 5, "truck": 7}
# What the two may differ by: sums in another order.
SCORES_APART, BOXES_APART = 1e-4, 0.05


class Unknown(Exception):
    """The network is not built as these are."""


def vehicles_of(graph, count, given):
    """{kind: number of its class}, from the command line, the file, or as COCO has them."""
    if given is None and graph.has_rt_info(["framework", "names"]):
        names = ast.literal_eval(graph.get_rt_info(["framework", "names"]).astype(str))
        numbers = {str(name).lower(): int(number) for number, name in (names if isinstance(names, dict) else dict(enumerate(names))).items()}
        given = {kind: numbers[name] for kind, called in NAMES.items() for name in called if name in numbers}
    if not given and count == 80:
        given = COCO
    if not given or not set(given) <= set(NAMES) or not all(isinstance(n, int) and 0 <= n < count for n in given.values()):
        raise Unknown('which of its classes are vehicles is not known: say it with --classes, such as {"car": 0, "truck": 1}')
    return {kind: given[kind] for kind in NAMES if kind in given}


def source(node, index, *kinds):
    found = node.input_value(index).get_node()
    if found.get_type_name() not in kinds:
        raise Unknown(f"{found.get_friendly_name()} is {found.get_type_name()}, not {' or '.join(kinds)}")
    return found


def branches(concat):
    """The convolutions, with their biases, whose results a concatenation of all strides joins. None where others come together."""
    adds = []
    for i in range(concat.get_input_size()):
        shape = concat.input_value(i).get_node()
        add = shape.input_value(0).get_node() if shape.get_type_name() == "Reshape" else shape
        if add.get_type_name() != "Add" or add.input_value(0).get_node().get_type_name() != "Convolution":
            return None
        adds.append(add)
    return adds


def sides_behind(node):
    """The branches of the boxes, some steps before the boxes themselves."""
    todo, seen = [node], set()
    while todo:
        node = todo.pop(0)
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        found = branches(node) if node.get_type_name() == "Concat" else None
        if found:
            return found
        todo += [node.input_value(i).get_node() for i in range(node.get_input_size())]
    raise Unknown("the convolutions of its boxes are not found")


def levels_of(graph):
    """[(convolution of the sides, of the scores)], each with its bias behind it, of each stride. Sides and scores are joined with each
    other before the strides are (until Ultralytics 8.3), or each for themselves."""
    joined = source(graph.outputs[0].get_node(), 0, "Concat")
    sigmoid = source(joined, joined.get_input_size() - 1, "Sigmoid")
    scores = source(sigmoid, 0, "Concat", "VariadicSplit", "Split")
    if scores.get_type_name() == "Concat":
        kinds = branches(scores)
        if not kinds:
            raise Unknown("the convolutions of its scores are not found")
        return list(zip(sides_behind(joined.input_value(0).get_node()), kinds, strict=True))
    whole = source(scores, 0, "Concat")
    levels = []
    for i in range(whole.get_input_size()):
        pair = source(source(whole, i, "Reshape"), 0, "Concat")
        levels.append([source(pair, k, "Add") for k in range(2)])
    return levels


def output(add, rows, name, sigmoid):
    """(1, cells, values) of these rows of a convolution."""
    import numpy
    from openvino import opset13 as ops

    import graph as graphs

    last = source(add, 0, "Convolution")
    weights, bias = graphs.values(last.input_value(1)), graphs.values(add.input_value(1))
    if weights is None or bias is None or list(weights.shape[2:]) != [1, 1]:
        raise Unknown(f"{last.get_friendly_name()} is no plain convolution")
    out = graphs.convolution(last.input_value(0), weights[rows], bias.reshape(1, -1, 1, 1)[:, rows])
    out = ops.transpose(ops.sigmoid(out) if sigmoid else out, numpy.array([0, 2, 3, 1]))
    out = ops.reshape(out, numpy.array([1, -1, len(rows)]), False)
    out.set_friendly_name(name)
    out.output(0).set_names({name})
    return ops.result(out)


def convert(openvino, graph, classes):
    """(the network, {kind: number}, its description without names of files)."""
    import graph as graphs

    graphs.fold(graph)
    shape = graph.input(0).get_partial_shape()
    if graph.is_dynamic() or len(graph.inputs) != 1 or list(shape.to_shape())[:2] != [1, 3]:
        raise Unknown("its input is not one picture of a fixed size: export it with one")
    height, width = list(shape.to_shape())[2:]
    levels = levels_of(graph)
    count = levels[0][1].get_output_shape(0)[1]
    sides = levels[0][0].get_output_shape(0)[1]
    kept = vehicles_of(graph, count, classes)
    outputs = [output(scores, list(kept.values()), f"scores_{i}", True) for i, (_, scores) in enumerate(levels)]
    outputs += [output(boxes, list(range(sides)), f"sides_{i}", False) for i, (boxes, _) in enumerate(levels)]
    made = openvino.Model(outputs, graph.get_parameters(), graph.get_friendly_name())
    graphs.convolve_before_enlarging(made)
    made.validate_nodes_and_infer_types()
    values = {"scale": 1 / 255, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
    return made, kept, {
        "task": "detector",
        "input": {"width": width, "height": height, "layout": "nchw", "type": "f32", "order": "rgb", "resize": "letterbox-center", "pad": 114} | values,
        "head": "picodet",
        "strides": [height // boxes.get_output_shape(0)[2] for boxes, _ in levels],
        "bins": sides // 4,
        "classes": list(kept),
        "outputs": [f"{what}_{i}" for what in ("scores", "sides") for i in range(len(levels))],
    }  # fmt: skip


def check(openvino, whole, made, kept, feed):
    """Raises Unknown unless both say the same of a picture of noise."""
    import numpy

    height, width = feed["input"]["height"], feed["input"]["width"]
    picture = numpy.random.default_rng(1).random((1, 3, height, width), numpy.float32)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    table = openvino.Core().compile_model(whole, "CPU", settings)([picture])[0][0]
    said = list(openvino.Core().compile_model(made, "CPU", settings)([picture]).values())
    half, first, bins = len(said) // 2, 0, numpy.arange(feed["bins"])
    for stride, scores, sides in zip(feed["strides"], said[:half], said[half:]):
        cells = scores.shape[1]
        rows = table[:, first : first + cells]
        y, x = numpy.divmod(numpy.arange(cells), width // stride)
        power = numpy.exp(sides[0].reshape(cells, 4, -1) - sides[0].reshape(cells, 4, -1).max(2, keepdims=True))
        reach = power @ bins / power.sum(2)
        left, right = x + 0.5 - reach[:, 0], x + 0.5 + reach[:, 2]
        top, bottom = y + 0.5 - reach[:, 1], y + 0.5 + reach[:, 3]
        boxes = numpy.stack([left + right, top + bottom, 2 * (right - left), 2 * (bottom - top)]) / 2 * stride
        if numpy.abs(boxes - rows[:4]).max() > BOXES_APART:
            raise Unknown("its boxes are not made of distributions as YOLOv8's are")
        if numpy.abs(scores[0].T - rows[4:][list(kept.values())]).max() > SCORES_APART:
            raise Unknown("its scores are not read as they are meant")
        first += cells
    if first != table.shape[1]:
        raise Unknown("it has other cells than its strides have")


def write(openvino, made, feed, destination):
    """The network, and its description last."""
    name = os.path.splitext(os.path.basename(destination))[0]
    openvino.save_model(made, destination, compress_to_fp16=False)
    with open(os.path.splitext(destination)[0] + ".json", "w", encoding="utf-8") as file:
        json.dump({"format": 1, "name": name, "file": os.path.basename(destination), **feed}, file, indent=2)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("source", help="the network, .onnx or .xml, of a fixed size")
    parser.add_argument("xml", help="the IR to write; its weights go beside it as .bin, its description as .json")
    parser.add_argument("--classes", type=json.loads, help='the numbers of its vehicles where it has no names: {"car": 0}')
    args = parser.parse_args()
    sys.path.insert(0, HERE)
    try:
        import openvino

        core = openvino.Core()
        made, kept, feed = convert(openvino, core.read_model(args.source), args.classes)
        check(openvino, core.read_model(args.source), made, kept, feed)
        write(openvino, made, feed, args.xml)
    except ImportError as error:
        sys.exit(f"yolo.py: {error}: numpy and the OpenVINO package are needed (PYTHONPATH=.deps/openvino)")
    except (Unknown, RuntimeError, ValueError) as error:
        sys.exit(f"yolo.py: {args.source}: {str(error).strip().splitlines()[-1]}")


if __name__ == "__main__":
    main()
