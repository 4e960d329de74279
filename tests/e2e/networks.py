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
