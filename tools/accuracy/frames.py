"""Frames of clips as JPEG files, by ffmpeg."""

import glob
import os
import subprocess

CLIPS = (".mp4", ".mkv", ".avi", ".mov", ".ts", ".webm")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def listed(folder, endings):
    """Files of a folder, not of its folders, by name."""
    return sorted(
        os.path.join(folder, name) for name in os.listdir(folder) if name.lower().endswith(endings)
    )


def duration(clip):
    """Seconds."""
    answer = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", clip],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(answer.stdout)


def sample(clip, count, folder, start=0.0, end=1.0):
    """`count` frames at even distances from a part of a clip (shares of its length), into folder/NNNN.jpg.
    Gives their paths."""
    os.makedirs(folder, exist_ok=True)
    length = duration(clip)
    part = (end - start) * length
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-ss", f"{start * length:.3f}", "-t", f"{part:.3f}"]
        + ["-i", clip, "-an", "-vf", f"fps={count / part:.6f}:round=down", "-q:v", "2"]
        + ["-frames:v", str(count), os.path.join(folder, "%04d.jpg")],
        check=True,
    )
    return sorted(glob.glob(os.path.join(folder, "*.jpg")))
