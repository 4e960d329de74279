// Which boxes belong on the frame that is on screen, and drawing them over the video.
//
// Coordinates of boxes are pixels of the analysed frame, x,y top-left; times are Unix milliseconds of the camera's wall clock.

import { formatPercent, t } from "./i18n.js";

const GLIDE_GAP_MS = 600; // two looks closer than this are one movement: boxes glide between them
const MATCH_IOU = 0.05; // low: a fast motorcycle moves most of its own length between two looks
const HOLD_MAX_MS = 1000; // nothing older is drawn
const HOLD_MIN_MS = 300;

export const CLASSES = ["car", "motorcycle", "bus", "truck"];

function intersection(a, b) {
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  return w > 0 && h > 0 ? w * h : 0;
}

export function iou(a, b) {
  const both = intersection(a, b);
  return both ? both / (a.w * a.h + b.w * b.h - both) : 0;
}

// How much of the smaller box lies in the other.
export function containment(a, b) {
  const both = intersection(a, b);
  return both ? both / Math.min(a.w * a.h, b.w * b.h) : 0;
}

// Greedy pairs [i, j] of the same class, the greatest overlap first; each object is in one pair at most.
export function matchObjects(before, after, minIou = MATCH_IOU) {
  const candidates = [];
  before.forEach((a, i) => {
    after.forEach((b, j) => {
      if (a.type !== b.type) return;
      const overlap = iou(a, b);
      if (overlap >= minIou) candidates.push({ i, j, overlap });
    });
  });
  candidates.sort((p, q) => q.overlap - p.overlap);
  const usedI = new Set();
  const usedJ = new Set();
  const pairs = [];
  for (const { i, j } of candidates) {
    if (usedI.has(i) || usedJ.has(j)) continue;
    usedI.add(i);
    usedJ.add(j);
    pairs.push([i, j]);
  }
  return pairs;
}

const mix = (a, b, f) => a + (b - a) * f;

function glide(before, after, f) {
  const pairs = matchObjects(before, after);
  const out = pairs.map(([i, j]) => {
    const [a, b] = [before[i], after[j]];
    return {
      ...b,
      x: mix(a.x, b.x, f),
      y: mix(a.y, b.y, f),
      w: mix(a.w, b.w, f),
      h: mix(a.h, b.h, f),
      confidence: mix(a.confidence, b.confidence, f),
      plate: b.plate ?? a.plate,
    };
  });
  // What only one of the looks saw is shown on that look's half of the way.
  const paired = f < 0.5 ? new Set(pairs.map(([i]) => i)) : new Set(pairs.map(([, j]) => j));
  (f < 0.5 ? before : after).forEach((o, k) => {
    if (!paired.has(k)) out.push(o);
  });
  return out;
}

// The boxes for a frame of frameWallMs out of a track of looks (see events.js): {wallMs, width, height, boxes}, where wallMs is the look
// they come from; null when there is no look to show.
export function boxesAt(track, frameWallMs) {
  const { before, after } = track.around(frameWallMs);
  if (!before) return null;
  const age = frameWallMs - before.wallMs;
  const { width, height } = before;
  if (after && after.wallMs - before.wallMs < GLIDE_GAP_MS) {
    const f = age / (after.wallMs - before.wallMs);
    return { wallMs: before.wallMs, width, height, boxes: glide(before.objects, after.objects, f) };
  }
  // No look since: hold for about two of the detector's own intervals, so that a box does not outstay its vehicle.
  const hold = Math.min(HOLD_MAX_MS, Math.max(HOLD_MIN_MS, 2 * track.intervalMs));
  if (age > hold) return null;
  return { wallMs: before.wallMs, width, height, boxes: before.objects };
}

// Where the picture lies inside the element with object-fit: contain.
export function pictureRect(boxWidth, boxHeight, width, height) {
  if (!width || !height) return { x: 0, y: 0, scale: 0, width: 0, height: 0 };
  const scale = Math.min(boxWidth / width, boxHeight / height);
  return { x: (boxWidth - width * scale) / 2, y: (boxHeight - height * scale) / 2, scale };
}

export class Overlay {
  constructor(canvas, video) {
    this.canvas = canvas;
    this.video = video;
    this.ctx = canvas.getContext("2d");
    this.drawn = null; // what is on the canvas now: {wallMs, frameWallMs, mediaTime, frame, boxes}
    this.visible = true;
    this.colours = {};
    const style = getComputedStyle(document.documentElement);
    for (const c of CLASSES) this.colours[c] = style.getPropertyValue(`--class-${c}`).trim() || "#ffffff";
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(canvas);
  }

  destroy() {
    this.observer.disconnect();
  }

  // look: what boxesAt gave, or null; frame: {wallMs, mediaTime} of the frame on screen, or null.
  draw(look, frame) {
    const boxes = this.visible && look ? look.boxes : [];
    this.drawn = {
      wallMs: look ? look.wallMs : null,
      frameWallMs: frame ? frame.wallMs : null,
      mediaTime: frame ? frame.mediaTime : null,
      frame: look ? { width: look.width, height: look.height } : null,
      boxes,
    };
    this.canvas.dataset.boxes = String(boxes.length);
    this.#paint();
  }

  #resize() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.#paint();
  }

  #paint() {
    const { ctx, canvas } = this;
    const ratio = canvas.width / (canvas.clientWidth || 1);
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.drawn?.boxes.length) return;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    // The analysed frame may be a scaled one, but it has the picture's shape.
    const picture = pictureRect(canvas.clientWidth, canvas.clientHeight,
      this.video.videoWidth || this.drawn.frame.width, this.video.videoHeight || this.drawn.frame.height);
    const sx = (picture.scale * (this.video.videoWidth || this.drawn.frame.width)) / this.drawn.frame.width;
    const sy = (picture.scale * (this.video.videoHeight || this.drawn.frame.height)) / this.drawn.frame.height;
    const small = canvas.clientWidth < 420;
    for (const b of this.drawn.boxes) {
      this.#paintBox({ x: picture.x + b.x * sx, y: picture.y + b.y * sy, w: b.w * sx, h: b.h * sy }, b, small);
    }
  }

  #paintBox(r, object, small) {
    const { ctx } = this;
    const colour = this.colours[object.type] ?? "#ffffff";
    ctx.beginPath();
    ctx.roundRect(r.x, r.y, r.w, r.h, 4);
    ctx.lineWidth = 4;
    ctx.strokeStyle = "rgba(0, 0, 0, 0.45)";
    ctx.stroke();
    ctx.lineWidth = 2;
    ctx.strokeStyle = colour;
    ctx.stroke();

    const size = small ? 10 : 12;
    const label = [t(`class.${object.type}`), formatPercent(object.confidence), object.plate].filter(Boolean).join("  ");
    ctx.font = `600 ${size}px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`;
    const width = ctx.measureText(label).width + 10;
    const height = size + 6;
    const x = Math.max(0, Math.min(r.x - 1, this.canvas.clientWidth - width));
    const above = r.y - height - 2;
    const y = above >= 0 ? above : Math.max(0, r.y) + 3;
    ctx.fillStyle = colour;
    ctx.beginPath();
    ctx.roundRect(x, y, width, height, 3);
    ctx.fill();
    ctx.fillStyle = "#06090d";
    ctx.textBaseline = "middle";
    ctx.fillText(label, x + 5, y + height / 2 + 0.5);
  }
}
