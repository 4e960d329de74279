// Live events: WebSockets that come back by themselves, and the looks of a camera's detector kept by time.

import { containment, iou } from "./overlay.js";

const KEEP_MS = 60000;
const MAX_LOOKS = 3000; // 60 s at 50 looks a second: a clock gone wrong cannot fill the memory
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15000;
const PING_EVERY_MS = 20000;
const SILENCE_MAX_MS = 50000;
const NEW_WITHIN_MS = 2000;
const NEW_IOU = 0.1; // low: a motorcycle moves most of its length between two looks
const NEW_SURE = 0.6; // below, a second look must confirm
const NEW_CONTAINED = 0.7; // a vehicle at the border of the picture grows out of its box
const MAX_SEEN = 200;
const MAX_TRACKS = 500;

// The looks of one camera, sorted by the camera's clock.
export class Track {
  #looks = [];

  get count() {
    return this.#looks.length;
  }

  // Typical time between looks: the median of the newest few.
  get intervalMs() {
    const gaps = [];
    for (let i = this.#looks.length - 1; i > 0 && gaps.length < 9; i--)
      gaps.push(this.#looks[i].wallMs - this.#looks[i - 1].wallMs);
    gaps.sort((a, b) => a - b);
    return gaps.length ? gaps[gaps.length >> 1] : 500;
  }

  add(look) {
    const looks = this.#looks;
    // A camera whose clock was set back starts a new track: old looks would hide the new ones.
    if (looks.length && look.wallMs < looks.at(-1).wallMs - KEEP_MS) looks.length = 0;
    const i = this.#firstAfter(look.wallMs);
    if (i > 0 && looks[i - 1].wallMs === look.wallMs) looks[i - 1] = look;
    else looks.splice(i, 0, look);
    const oldest = looks.at(-1).wallMs - KEEP_MS;
    let drop = Math.max(0, looks.length - MAX_LOOKS);
    while (drop < looks.length && looks[drop].wallMs < oldest) drop++;
    if (drop) looks.splice(0, drop);
  }

  // The newest look at or before wallMs, and the first one after it.
  around(wallMs) {
    const i = this.#firstAfter(wallMs);
    return { before: this.#looks[i - 1] ?? null, after: this.#looks[i] ?? null };
  }

  #firstAfter(wallMs) {
    let lo = 0;
    let hi = this.#looks.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.#looks[mid].wallMs <= wallMs) lo = mid + 1;
      else hi = mid;
    }
    return lo;
  }
}

// Tells objects that just came into view from those seen a moment ago: the list shows a vehicle once, not at every look. The rule is the
// console's (services/console/newcomers.h), so that the list and what is stored agree.
export class Newcomers {
  #seen = []; // {object, wallMs, reported}
  #tracks = new Map(); // of those that the server follows: track -> the plate that was reported with it

  take(look) {
    const followed = look.objects.filter((o) => o.track);
    if (followed.length) return [...followed.filter((o) => this.#isNews(o)), ...this.#takeOthers({ ...look, objects: look.objects.filter((o) => !o.track) })];
    return this.#takeOthers(look);
  }

  // A track is news once, and once more when its plate is read.
  #isNews({ track, plate }) {
    if (this.#tracks.get(track) === plate) return false;
    this.#tracks.set(track, plate);
    if (this.#tracks.size > MAX_TRACKS) this.#tracks.delete(this.#tracks.keys().next().value);
    return true;
  }

  #takeOthers(look) {
    this.#seen = this.#seen
      .filter((s) => look.wallMs >= s.wallMs && look.wallMs - s.wallMs <= NEW_WITHIN_MS)
      .slice(-MAX_SEEN);
    const known = this.#pair(look.objects);
    return look.objects.filter((object, i) => {
      let s = known.get(i);
      if (s) Object.assign(s, { object, wallMs: look.wallMs });
      else this.#seen.push((s = { object, wallMs: look.wallMs, reported: false }));
      if (s.reported || (!known.has(i) && object.confidence < NEW_SURE)) return false;
      s.reported = true;
      return true;
    });
  }

  // Position in the look -> what it continues, the greatest overlaps first.
  #pair(objects) {
    const pairs = [];
    objects.forEach((o, i) => {
      for (const s of this.#seen) {
        if (s.object.type !== o.type) continue;
        const overlap = iou(s.object, o);
        if (overlap > NEW_IOU || containment(s.object, o) > NEW_CONTAINED) pairs.push({ i, s, overlap });
      }
    });
    pairs.sort((p, q) => q.overlap - p.overlap);
    const known = new Map();
    const used = new Set();
    for (const { i, s } of pairs) {
      if (known.has(i) || used.has(s)) continue;
      known.set(i, s);
      used.add(s);
    }
    return known;
  }
}

// A detection event as a look, or null when it is none that can be drawn.
export function lookFromEvent(event) {
  const data = event.data ?? {};
  const wallMs = Number.isFinite(event.wall_ms) ? event.wall_ms : Date.parse(event.timestamp);
  const { width, height } = data.frame ?? {};
  if (!Number.isFinite(wallMs) || !(width > 0) || !(height > 0) || !Array.isArray(data.objects)) return null;
  return {
    wallMs,
    width,
    height,
    objects: data.objects.slice(0, 100).map((o) => ({
      type: o.object_type,
      confidence: o.confidence,
      plate: o.plate_number ?? null,
      track: o.track_id ?? null,
      ...o.bbox,
    })),
  };
}

// A WebSocket that reconnects with growing, jittered pauses and asks for the events that it missed meanwhile. onMessage gets each parsed message, onState true or false.
export class LiveSocket {
  #path;
  #onMessage;
  #onState;
  #socket = null;
  #attempt = 0;
  #timer = 0;
  #heart = 0;
  #heardAt = 0;
  #closed = false;
  #lastId = null; // of the newest event seen: the server replays what came after it
  up = false;

  constructor(path, { onMessage, onState = () => {} }) {
    this.#path = path;
    this.#onMessage = onMessage;
    this.#onState = onState;
    this.#open();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#heart);
    this.#socket?.close(1000);
    this.#setUp(false);
  }

  #open() {
    const url = new URL(this.#path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (this.#lastId) url.searchParams.set("since", this.#lastId);
    const ws = new WebSocket(url);
    this.#socket = ws;
    this.#heardAt = performance.now();
    clearInterval(this.#heart);
    this.#heart = setInterval(() => this.#beat(ws), PING_EVERY_MS);
    ws.onopen = () => {
      this.#attempt = 0;
      this.#heardAt = performance.now();
      this.#setUp(true);
    };
    ws.onmessage = (m) => {
      this.#heardAt = performance.now();
      let message;
      try {
        message = JSON.parse(m.data);
      } catch {
        return; // one broken message is no reason to lose the others
      }
      if (typeof message?.id === "string") this.#lastId = message.id;
      if (message && message.type !== "pong") this.#onMessage(message);
    };
    ws.onclose = () => this.#lost(ws);
  }

  // A connection that died without a word (a laptop that slept) is only noticed by its silence.
  #beat(ws) {
    if (performance.now() - this.#heardAt > SILENCE_MAX_MS) {
      ws.close();
      this.#lost(ws);
    } else if (ws.readyState === WebSocket.OPEN) {
      ws.send('{"type":"ping"}');
    }
  }

  #lost(ws) {
    if (this.#closed || ws !== this.#socket) return;
    this.#socket = null;
    ws.onopen = ws.onmessage = ws.onclose = null;
    clearInterval(this.#heart);
    this.#setUp(false);
    const pause = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#attempt++);
    this.#timer = setTimeout(() => this.#open(), pause * (0.5 + Math.random() / 2));
  }

  #setUp(up) {
    if (up === this.up) return;
    this.up = up;
    this.#onState(up);
  }
}
