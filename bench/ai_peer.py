#!/usr/bin/env python3
"""What the ai service replaces, built the way such a service is built in Python: FastAPI, Ultralytics, torch on the CPU.

Runs in the throw-away venv that ai.py makes. The network is YOLOv8n with random weights: it costs what a trained one costs.
"""

import asyncio
import base64
import datetime
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from ultralytics import YOLO

VEHICLES = {2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
app = FastAPI()
model = YOLO("yolov8n.yaml")
workers = ThreadPoolExecutor(int(os.environ.get("WORKERS", "4")))


class Picture(BaseModel):
    camera_id: int
    image_base64: str


def look(picture):
    started = time.perf_counter()
    image = cv2.imdecode(numpy.frombuffer(base64.b64decode(picture.image_base64), numpy.uint8), cv2.IMREAD_COLOR)
    found = []
    for box in model(image, conf=0.5, verbose=False, device="cpu")[0].boxes:
        if int(box.cls) in VEHICLES:
            x1, y1, x2, y2 = (int(v) for v in box.xyxy[0])
            found.append({"camera_id": picture.camera_id, "timestamp": datetime.datetime.utcnow().isoformat(), "object_type": VEHICLES[int(box.cls)],
                          "confidence": float(box.conf), "bbox": {"x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1}, "plate_number": None,
                          "vehicle_model": None, "vehicle_confidence": None})
    return {"detections": found, "processing_time_ms": (time.perf_counter() - started) * 1000}


@app.get("/health")
async def health():
    return {"status": "healthy"}


@app.post("/detect")
async def detect(picture: Picture):
    try:
        return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(workers, look, picture), 5)
    except asyncio.TimeoutError as late:
        raise HTTPException(408, "Processing timeout") from late


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
