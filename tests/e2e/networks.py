"""Tiny ONNX networks with the outputs of the known detectors: what they answer is written into them."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def cells(width, height, strides=(8, 16, 32)):
    return sum(-(-width // s) * -(-height // s) for s in strides)


def network(table, mask, width=640, height=640, opset=13, names=None, open_size=False, extra_outputs=0, batch=1):
    """The output is `table` plus, where `mask` is 1, the mean of the picture's first channel as it is fed (0..1)."""
    size = [batch, 3, None, None] if open_size else [batch, 3, height, width]
    table, mask = np.asarray(table, np.float32), np.asarray(mask, np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=1),
        helper.make_node("Gather", ["means", "zero"], ["first"], axis=1),
        helper.make_node("Reshape", ["first", "shape"], ["score"]),
        helper.make_node("Mul", ["score", "mask"], ["marked"]),
        helper.make_node("Add", ["marked", "table"], ["output0"]),
    ]
    outputs = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, table.shape)]
    for i in range(extra_outputs):
        nodes.append(helper.make_node("Relu", ["means"], [f"more{i}"]))
        outputs.append(helper.make_tensor_value_info(f"more{i}", TensorProto.FLOAT, [batch, 3, 1, 1]))
    constants = {"zero": np.array([0], np.int64), "shape": np.array([1, 1, 1], np.int64), "mask": mask, "table": table}
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, size)], outputs,
                              [numpy_helper.from_array(v, k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if names is not None:
        helper.set_model_props(model, {"names": str(dict(enumerate(names))), "imgsz": str([height, width]), "task": "detect"})
    return model


def yolov8(width=640, height=640, classes=80, car=2, box=(320, 192, 100, 50), **more):
    """(4 + classes) x N with one car at `box` (centre and size), as sure as the picture is red."""
    table = np.zeros((1, 4 + classes, cells(width, height)), np.float32)
    mask = np.zeros_like(table)
    table[0, :4, 7] = box
    mask[0, 4 + car, 7] = 1
    return network(table, mask, width, height, **more)


def yolov5(width=640, height=640, classes=80, car=2, box=(320, 192, 100, 50), **more):
    table = np.zeros((1, 3 * cells(width, height), 5 + classes), np.float32)
    mask = np.zeros_like(table)
    table[0, 7, :4] = box
    table[0, 7, 4] = 1
    mask[0, 7, 5 + car] = 1
    return network(table, mask, width, height, **more)


def end2end(width=640, height=640, car=2, box=(270, 167, 370, 217), **more):
    table = np.zeros((1, 300, 6), np.float32)
    mask = np.zeros_like(table)
    table[0, 7] = [*box, 0, car]
    mask[0, 7, 4] = 1
    return network(table, mask, width, height, **more)


def save(model, path):
    onnx.save(model, str(path))
    return path


def ultralytics(width=640, height=384, classes=80, names=None, seed=2, apart=False):
    """A network whose end is that of YOLOv8's export: a convolution of its own for the sides and for the scores of each stride, all cells
    joined, scores through a sigmoid, sides through the expectation of 16 bins."""
    dice, nodes, constants = np.random.default_rng(seed), [], {}

    def add(kind, inputs, outputs=1, **attributes):
        names_ = [f"{kind}{len(nodes)}_{i}" for i in range(outputs)]
        nodes.append(helper.make_node(kind, inputs, names_, name=names_[0], **attributes))
        return names_[0] if outputs == 1 else names_

    def constant(value, dtype=np.float32):
        constants[f"c{len(constants)}"] = np.asarray(value, dtype)
        return f"c{len(constants) - 1}"

    def last(source, count):
        weights = dice.standard_normal((count, 3, 1, 1)) * 1.5
        return add("Conv", [source, constant(weights), constant(dice.standard_normal(count) - 0.5)], kernel_shape=[1, 1])

    tables, points, steps = [], [], []
    for stride in (8, 16, 32):
        source = add("AveragePool", ["images"], kernel_shape=[stride, stride], strides=[stride, stride])
        both = [last(source, 64), last(source, classes)]
        if not apart:
            both = [add("Concat", both, axis=1)]
        tables.append([add("Reshape", [one, constant([1, -1, height * width // stride**2], np.int64)]) for one in both])
        y, x = np.mgrid[0 : height // stride, 0 : width // stride]
        points.append(np.stack([x.ravel(), y.ravel()]) + 0.5)
        steps.append(np.full(x.size, stride))
    whole = [add("Concat", list(parts), axis=2) for parts in zip(*tables)]
    sides, scores = whole if apart else add("Split", [*whole, constant([64, classes], np.int64)], 2, axis=1)
    apart = add("Transpose", [add("Reshape", [sides, constant([1, 4, 16, -1], np.int64)])], perm=[0, 2, 1, 3])
    bins = constant(np.arange(16).reshape(1, 16, 1, 1))
    reach = add("Reshape", [add("Conv", [add("Softmax", [apart], axis=1), bins], kernel_shape=[1, 1]), constant([1, 4, -1], np.int64)])
    before, after = add("Split", [reach, constant([2, 2], np.int64)], 2, axis=1)
    point = constant(np.concatenate(points, 1)[None])
    first, second = add("Sub", [point, before]), add("Add", [point, after])
    centre = add("Div", [add("Add", [first, second]), constant(2)])
    boxes = add("Mul", [add("Concat", [centre, add("Sub", [second, first])], axis=1), constant(np.concatenate(steps)[None, None])])
    nodes.append(helper.make_node("Concat", [boxes, add("Sigmoid", [scores])], ["output0"], axis=1))
    table = helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + classes, cells(width, height)])
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, height, width])], [table],
                              [numpy_helper.from_array(v, k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if names is not None:
        helper.set_model_props(model, {"names": str(dict(enumerate(names))), "imgsz": str([height, width]), "task": "detect"})
    return model
