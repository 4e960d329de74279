#!/usr/bin/env python3
"""Writes YOLOv8n with random weights as ONNX of HEIGHT x WIDTH, in the venv of the Python stack: ai_export.py FILE HEIGHT WIDTH."""

import shutil
import sys

import torch
from ultralytics import YOLO

torch.manual_seed(1)
file, height, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
shutil.move(YOLO("yolov8n.yaml").export(format="onnx", imgsz=(height, width), simplify=False, opset=17), file)
