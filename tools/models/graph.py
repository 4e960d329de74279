"""Rewrites a network's graph (OpenVINO's) so that it computes the same with fewer and cheaper steps.

Each function takes the graph, changes it in place and returns how often it found what it looks for: none is an answer, too. All of them are
exact but for the order in which floats are added up.
"""

import numpy
from openvino import opset13 as ops

# What computes each value by itself: the order of channels is nothing to it.
ELEMENTWISE = ("Add", "Multiply", "Divide", "Subtract", "Maximum", "Minimum", "Relu", "Clamp", "HSwish")


def fold(graph):
    """Computes what depends on constants alone, such as the biases of ONNX files."""
    from openvino.passes import ConstantFolding, Manager

    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(graph)


def values(output):
    """The constant behind an output, through a decompressing Convert; None where it is none."""
    node = output.get_node()
    if node.get_type_name() == "Convert" and node.input_value(0).get_node().get_type_name() == "Constant":
        return node.input_value(0).get_node().get_data().astype(numpy.float32)
    return node.get_data() if node.get_type_name() == "Constant" else None


def replace(target, data):
    """Gives an input another constant."""
    target.replace_source_output(ops.constant(numpy.ascontiguousarray(data)).output(0))


def redirect(old, new):
    """All that reads the output old reads new."""
    for target in list(old.get_target_inputs()):
        target.replace_source_output(new)


def readers(output):
    return [target.get_node() for target in output.get_target_inputs()]


def key(output):
    return output.get_node().get_friendly_name(), output.get_index()


def convolution(source, weights, bias=None):
    """A convolution of 1x1, the bias (1, channels, 1, 1) added."""
    out = ops.convolution(source, ops.constant(numpy.ascontiguousarray(weights)), [1, 1], [0, 0], [0, 0], [1, 1])
    return out if bias is None else ops.add(out, ops.constant(numpy.ascontiguousarray(bias)))


# ---- Bytes in ----


def take_bytes(graph, spec):
    """The graph that takes a picture as it lies in memory, one byte a channel and pixel; spec: the sidecar's `input`.

    Normalising a row as one long vector is what makes it cheap: three channels at a time fill no register.
    """
    import openvino

    old = graph.get_parameters()[0]
    height, width = spec["height"], spec["width"]
    scale, mean, deviation = (numpy.array(spec[name], numpy.float64) for name in ("scale", "mean", "std"))
    picture = ops.parameter([1, height, width, 3], numpy.uint8)
    picture.set_friendly_name(old.get_friendly_name())
    picture.output(0).set_names(old.output(0).get_names())
    rows = ops.convert(ops.reshape(picture, numpy.array([1, height, width * 3]), False), "f32")
    rows = ops.subtract(rows, numpy.tile(mean / scale, width).reshape(1, 1, -1).astype(numpy.float32))
    rows = ops.multiply(rows, numpy.tile(scale / deviation, width).reshape(1, 1, -1).astype(numpy.float32))
    pixels = ops.reshape(rows, numpy.array([1, height, width, 3]), False)
    redirect(old.output(0), ops.transpose(pixels, numpy.array([0, 3, 1, 2])).output(0))
    return openvino.Model(graph.get_results(), [picture], graph.get_friendly_name())


# ---- Squeeze and excitation ----


def fold_hard_sigmoids(graph):
    """A hard sigmoid behind a convolution: its slope and offset go into the weights, what is left is a clamp, which the convolution does."""
    found = 0
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "HardSigmoid":
            continue
        add = node.input_value(0).get_node()
        slope, offset = values(node.input_value(1)), values(node.input_value(2))
        if add.get_type_name() != "Add" or len(readers(add.output(0))) != 1 or slope is None or offset is None:
            continue
        conv, bias = add.input_value(0).get_node(), values(add.input_value(1))
        if conv.get_type_name() != "Convolution" or len(readers(conv.output(0))) != 1 or bias is None:
            continue
        replace(conv.input(1), values(conv.input_value(1)) * slope)
        replace(add.input(1), bias * slope + offset)
        redirect(node.output(0), ops.clamp(add, 0.0, 1.0).output(0))
        found += 1
    return found


# ---- Enlarging ----


def convolve_before_enlarging(graph):
    """1x1 convolutions of [enlarged, other] by nearest neighbours: the enlarged half is convolved while it is small, a quarter of the work."""
    found = 0
    for concat in graph.get_ordered_ops():
        if concat.get_type_name() != "Concat" or concat.get_axis() != 1 or concat.get_input_size() != 2:
            continue
        enlarge = concat.input_value(0).get_node()
        convolutions = readers(concat.output(0))
        if not enlarges(enlarge) or not all(map(plain_convolution, convolutions)):
            continue
        for conv in convolutions:
            (add,) = readers(conv.output(0))
            weights, split = values(conv.input_value(1)), enlarge.get_output_shape(0)[1]
            small = convolution(enlarge.input_value(0), weights[:, :split])
            big = convolution(concat.input_value(1), weights[:, split:], values(add.input_value(1)))
            redirect(add.output(0), ops.add(big, enlarged(small, enlarge)).output(0))
            found += 1
    return found


def enlarges(node):
    return (
        node.get_type_name() == "Interpolate"
        and node.get_attributes()["mode"] == "nearest"
        and node.get_attributes()["shape_calculation_mode"] == "scales"
        and node.get_input_size() == 2
        and node.get_output_shape(0)[1] == node.get_input_shape(0)[1]
    )


def enlarged(output, like):
    how = like.get_attributes()
    return ops.interpolate(
        output,
        like.input_value(1),
        how["mode"],
        how["shape_calculation_mode"],
        coordinate_transformation_mode=how["coordinate_transformation_mode"],
        nearest_mode=how["nearest_mode"],
    )


def plain_convolution(node):
    """1x1, stride 1, and nothing but a bias reads it."""
    if node.get_type_name() != "Convolution" or list(node.get_input_shape(1)[2:]) != [1, 1]:
        return False
    after = readers(node.output(0))
    return (
        node.get_attributes()["strides"] == [1, 1]
        and values(node.input_value(1)) is not None
        and len(after) == 1
        and after[0].get_type_name() == "Add"
        and values(after[0].input_value(1)) is not None
    )
