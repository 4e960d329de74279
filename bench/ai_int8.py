#!/usr/bin/env python3
"""Writes the int8 version of a network of random weights, to measure what one costs: ai_int8.py SOURCE.onnx DEST.xml HEIGHT WIDTH.

Runs in the venv of `./gtv models --int8`. It is calibrated on noise, as random weights find nothing in pictures either.
"""

import sys

import nncf
import numpy as np
import openvino
from openvino._offline_transformations import apply_moc_transformations

source, destination, height, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
graph = openvino.Core().read_model(source)
apply_moc_transformations(graph, cf=True, smart_reshape=False)
noise = np.random.default_rng(1)
pictures = nncf.Dataset([noise.random((1, 3, height, width), np.float32) for _ in range(8)])
openvino.save_model(nncf.quantize(graph, pictures, subset_size=8), destination, compress_to_fp16=False)
