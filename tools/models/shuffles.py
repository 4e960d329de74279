"""Takes channel shuffles out of a network (ShuffleNet's, ESNet's): remove(graph).

A block of such a network computes with one half of its channels, lets the other pass, and shuffles both for the next block. Moving single
channels about takes a fifth of the time of PicoDet. Which channel goes where is known beforehand, though: instead of being moved, the
channels of each convolution are put into such an order that whatever a later one reads lies together, and the readers' weights follow. What
is left is to cut and to join.
"""

import numpy
from openvino import opset13 as ops

from graph import ELEMENTWISE, key, readers, replace, values


def shuffled(node):
    """(what goes in, groups) of the last node of a shuffle: reshape, transpose, reshape. None for other nodes."""
    if node.get_type_name() != "Reshape":
        return None
    swap = node.input_value(0).get_node()
    if swap.get_type_name() != "Transpose" or values(swap.input_value(1)).tolist() != [0, 2, 1, 3, 4]:
        return None
    apart = swap.input_value(0).get_node()
    if apart.get_type_name() != "Reshape":
        return None
    source, shape = apart.input_value(0), list(apart.get_output_shape(0))
    whole = list(source.get_shape())
    if len(whole) != 4 or whole != list(node.get_output_shape(0)) or shape[1] * shape[2] != whole[1] or shape[3:] != whole[2:]:
        return None
    return source, shape[1]


class Tracer:
    """Where the channels behind shuffles, splits and concatenations come from."""

    def __init__(self):
        self.channels = {}  # of an output's key: (key of its source, channel) each
        self.outputs = {}
        self.sources = []  # keys of outputs that something computes

    def trace(self, output):
        name = key(output)
        if name not in self.channels:
            self.outputs[name] = output
            self.channels[name] = self.follow(output) or self.begin(output)
        return self.channels[name]

    def begin(self, output):
        self.sources.append(key(output))
        return [(key(output), channel) for channel in range(output.get_shape()[1])]

    def follow(self, output):
        """None where the channels are computed here."""
        node, shuffle = output.get_node(), shuffled(output.get_node())
        if shuffle:
            channels, groups = self.trace(shuffle[0]), shuffle[1]
            step = len(channels) // groups
            return [channels[group * step + i] for i in range(step) for group in range(groups)]
        if node.get_type_name() == "VariadicSplit" and values(node.input_value(1)) == 1:
            lengths = values(node.input_value(2)).tolist()
            first = sum(lengths[: output.get_index()])
            return self.trace(node.input_value(0))[first : first + lengths[output.get_index()]]
        if node.get_type_name() == "Concat" and node.get_axis() == 1:
            return [channel for i in range(node.get_input_size()) for channel in self.trace(node.input_value(i))]
        return None

    def moves(self):
        """Names of the nodes that do nothing but move channels."""
        names = set()
        for name, output in self.outputs.items():
            if name in self.sources:
                continue
            node = output.get_node()
            names.add(node.get_friendly_name())
            if shuffled(node):
                swap = node.input_value(0).get_node()
                names |= {swap.get_friendly_name(), swap.input_value(0).get_node().get_friendly_name()}
        return names


# ---- Orders ----


def column_readers(target):
    """The inputs of convolutions that the channels of this input come to, through what keeps their order. None where some get elsewhere."""
    node, kind = target.get_node(), target.get_node().get_type_name()
    if kind == "Convolution":
        return [target] if target.get_index() == 0 and values(node.input_value(1)) is not None else None
    depthwise = kind == "GroupConvolution" and list(node.get_input_shape(1))[1:3] == [1, 1]
    biased = kind == "Add" and target.get_index() == 0 and values(node.input_value(1)) is not None
    if not depthwise and not biased:
        return None
    found = [target]
    for after in node.output(0).get_target_inputs():
        behind = column_readers(after)
        if behind is None:
            return None
        found += behind
    return found


def order_columns(target, order):
    """Lets a reader found by column_readers expect its channels in this order."""
    node, kind = target.get_node(), target.get_node().get_type_name()
    data = values(node.input_value(1))
    if kind == "Add" and data.size == 1:
        return
    replace(node.input(1), numpy.take(data, order, axis=0 if kind == "GroupConvolution" else 1))


def computed_by(output):
    """The convolution of an output's channels and the constants for each of them on the way, or None where other nodes see them, too."""
    inside, todo, found = {}, [output.get_node()], None
    while todo:
        node = todo.pop()
        if node.get_friendly_name() in inside:
            continue
        inside[node.get_friendly_name()] = node
        if node.get_type_name() == "Convolution":
            if found:
                return None
            found = node
        elif node.get_type_name() in ELEMENTWISE:
            todo += [node.input_value(i).get_node() for i in range(node.get_input_size()) if values(node.input_value(i)) is None]
        else:
            return None
    last = output.get_node().get_friendly_name()
    seen = [reader for name, node in inside.items() if name != last for reader in readers(node.output(0))]
    if not found or any(reader.get_friendly_name() not in inside for reader in seen):
        return None
    return list(inside.values())


def order_rows(nodes, order):
    """Lets the nodes of computed_by give their channels in this order."""
    for node in nodes:
        if node.get_type_name() == "Convolution":
            replace(node.input(1), numpy.take(values(node.input_value(1)), order, axis=0))
            continue
        for i in range(node.get_input_size()):
            data = values(node.input_value(i))
            if data is not None and data.size > 1:
                replace(node.input(i), numpy.take(data, order, axis=1))


# ---- The whole ----


def remove(graph):
    """Returns the number of shuffles that are gone: all of them, or none where the graph is not built as expected."""
    nodes = graph.get_ordered_ops()
    shuffles = [node for node in nodes if shuffled(node)]
    tracer = Tracer()
    for node in shuffles:
        tracer.trace(node.output(0))
    for node in nodes:
        if node.get_type_name() == "VariadicSplit" and key(node.input_value(0)) in tracer.channels:
            for output in node.outputs():
                tracer.trace(output)
    moves = tracer.moves()
    read = {}  # what is computed with, by key: the inputs that read it
    for name, output in tracer.outputs.items():
        targets = [t for t in output.get_target_inputs() if t.get_node().get_friendly_name() not in moves]
        if targets:
            read[name] = targets
    columns = {name: [column_readers(target) for target in targets] for name, targets in read.items()}
    rows = {name: computed_by(tracer.outputs[name]) for name in tracer.sources}
    if None in rows.values() or any(None in found for found in columns.values()):
        return 0
    pieces = cut(tracer, read, rows)
    for name, targets in read.items():
        join(tracer.channels[name], pieces, targets, columns[name])
    return len(shuffles)


def cut(tracer, read, rows):
    """Orders each source's channels by who reads them, and cuts it so. Returns (key of the source, its channels, output) of each piece."""
    reads = {}
    for name in read:
        for channel in tracer.channels[name]:
            reads.setdefault(channel, []).append(name)
    pieces = []
    for source in tracer.sources:
        output, groups = tracer.outputs[source], {}
        for channel in range(output.get_shape()[1]):
            groups.setdefault(tuple(reads.get((source, channel), ())), []).append(channel)
        order_rows(rows[source], [channel for group in groups.values() for channel in group])
        parts = [output]
        if len(groups) > 1:
            lengths = numpy.array([len(group) for group in groups.values()])
            parts = ops.variadic_split(output, numpy.int64(1), lengths).outputs()
        pieces += [(source, group, part) for group, part in zip(groups.values(), parts)]
    return pieces


def join(channels, pieces, targets, columns):
    """Lets the targets read these channels from the pieces that hold them."""
    place = {channel: i for i, channel in enumerate(channels)}
    taken = [(part, [place[source, i] for i in group]) for source, group, part in pieces if (source, group[0]) in place]
    parts, order = [part for part, _ in taken], [i for _, places in taken for i in places]
    whole = parts[0] if len(parts) == 1 else ops.concat(parts, 1).output(0)
    for target, found in zip(targets, columns):
        for reader in found:
            order_columns(reader, order)
        target.replace_source_output(whole)
