// One camera's video: HLS into a <video>, kept alive by itself, and the wall clock of the frame on screen.

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 10000;
const JUMP_MS = 3000; // no new frame for so long though the network gives all that is asked for: over a hole to the live edge
const STALL_MS = 6000; // no new frame for so long: say so
const REVIVE_MS = 12000; // and so long: start again
const LATE_S = 12; // a tab that slept jumps to the live edge when it is behind by more

// A service that is being restarted refuses connections (0) or says so (5xx), and one that has lost a file may get it back:
// hls.js itself takes both 0 and every 4xx for final. What nobody may watch stays refused.
const PASSING = new Set([0, 404, 408]);
const MISSING_TRIES = 8; // of a file that is not there

function patiently(tries) {
  return {
    maxNumRetry: tries,
    retryDelayMs: 500,
    maxRetryDelayMs: 3000, // 0.5, 1, 2, 3, 3 ... s
    shouldRetry: (config, count, isTimeout, response, retry) =>
      retry || (count < (response?.code === 404 ? Math.min(MISSING_TRIES, config.maxNumRetry) : config.maxNumRetry) && PASSING.has(response?.code)),
  };
}

const HLS_CONFIG = {
  workerPath: "/vendor/hls.worker.js", // a file of ours instead of a blob: the page's CSP stays strict
  liveSyncDurationCount: 3,
  liveMaxLatencyDurationCount: 10,
  maxLiveSyncPlaybackRate: 1.1,
  backBufferLength: 10,
  maxBufferLength: 20,
  maxBufferSize: 20 * 1000 * 1000, // a wall holds many of these
  manifestLoadPolicy: {
    default: {
      // A camera on demand is only dialled when the first playlist is asked for.
      maxTimeToFirstByteMs: 15000,
      maxLoadTimeMs: 20000,
      timeoutRetry: null,
      errorRetry: null, // the page says why there is no picture, and begins again by itself
    },
  },
  // A playback that has begun goes on through 30 s of a service that is away.
  playlistLoadPolicy: {
    default: {
      maxTimeToFirstByteMs: 15000,
      maxLoadTimeMs: 20000,
      timeoutRetry: { maxNumRetry: 2, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: patiently(12),
    },
  },
  fragLoadPolicy: {
    default: {
      maxTimeToFirstByteMs: 10000,
      maxLoadTimeMs: 60000,
      timeoutRetry: { maxNumRetry: 4, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: patiently(12),
    },
  },
};

// States: "connecting", "playing", "blocked" (the browser wants a click), "stalled", "failed" (tries again by itself).
export class Player {
  #video;
  #url = "";
  #hls = null;
  #frag = null; // the fragment being played; it outlives its place in the playlist
  #attempt = 0;
  #retryTimer = 0;
  #watchTimer = 0;
  #frameAt = 0;
  #startedAt = 0;
  #jumpedAt = 0;
  #troubledAt = 0; // hls.js is asking again since the last error then; 0: what it asked for came
  #frameHandle = 0;
  #onState;
  #onFrame;
  state = "idle";
  retryAt = 0; // Date.now() of the next attempt while failed

  // onState(state, {status, kind}) at each change; onFrame({wallMs, mediaTime}) for each frame shown (wallMs null when unknown).
  constructor(video, { onState, onFrame }) {
    this.#video = video;
    this.#onState = onState;
    this.#onFrame = onFrame;
    video.addEventListener("error", () => {
      if (!this.#hls && this.#url) this.#fail({ kind: "media" });
    });
    this.onVisible = () => {
      if (!document.hidden && this.latency > LATE_S) this.#toLiveEdge();
    };
    document.addEventListener("visibilitychange", this.onVisible);
  }

  start(url) {
    this.#url = url;
    this.#attempt = 0;
    this.#begin();
  }

  retryNow() {
    if (this.#url) this.#begin();
  }

  destroy() {
    this.#url = "";
    document.removeEventListener("visibilitychange", this.onVisible);
    this.#release();
    this.#video.removeAttribute("src");
    this.#video.load();
  }

  play() {
    this.#video.play().then(
      () => {},
      (e) => {
        if (e.name === "NotAllowedError") this.#set("blocked");
      },
    );
  }

  // Seconds between the frame on screen and now, by the wall clock where it is known; NaN when nothing plays.
  get latency() {
    const wall = this.wallAt(this.#video.currentTime);
    if (wall !== null) return (Date.now() - wall) / 1000;
    return this.#hls?.latency || NaN;
  }

  // The camera's wall clock (Unix ms) of a media time, by the programme date-time of its fragment; null when unknown.
  wallAt(mediaTime) {
    if (!this.#hls) {
      const start = this.#video.getStartDate?.().getTime();
      return Number.isFinite(start) ? start + mediaTime * 1000 : null;
    }
    const frag = this.#fragmentAt(mediaTime);
    if (frag?.programDateTime != null) return frag.programDateTime + (mediaTime - frag.start) * 1000;
    const date = this.#hls.playingDate;
    return date ? date.getTime() + (mediaTime - this.#video.currentTime) * 1000 : null;
  }

  #fragmentAt(mediaTime) {
    const f = this.#frag;
    if (f && mediaTime >= f.start && mediaTime < f.start + f.duration) return f;
    const fragments = this.#hls.levels[Math.max(0, this.#hls.currentLevel)]?.details?.fragments ?? [];
    return fragments.find((g) => mediaTime >= g.start && mediaTime < g.start + g.duration) ?? f;
  }

  #begin() {
    this.#release();
    this.#startedAt = performance.now();
    this.#frameAt = this.#troubledAt = 0;
    if (this.state !== "failed") this.#set("connecting");
    if (window.Hls?.isSupported()) this.#beginHls();
    else if (this.#video.canPlayType("application/vnd.apple.mpegurl")) {
      this.#video.src = this.#url;
      this.play();
    } else {
      this.#set("failed", { kind: "unsupported" });
      return;
    }
    this.#nextFrame();
    this.#watchTimer = setInterval(() => this.#watch(), 1000);
  }

  #beginHls() {
    const Hls = window.Hls;
    const hls = new Hls(HLS_CONFIG);
    this.#hls = hls;
    hls.on(Hls.Events.FRAG_CHANGED, (_, { frag }) => {
      this.#frag = frag;
    });
    for (const event of [Hls.Events.LEVEL_LOADED, Hls.Events.FRAG_LOADED]) {
      hls.on(event, () => {
        if (this.#troubledAt) this.#startedAt = performance.now(); // frames have so long from here
        this.#troubledAt = 0;
      });
    }
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.play());
    let mediaRecoveries = 0;
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (!data.fatal) {
        if (data.type === Hls.ErrorTypes.NETWORK_ERROR) this.#troubledAt = performance.now();
        return;
      }
      // One broken segment is worth one recovery; a stream that breaks again is started afresh.
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && data.details !== Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR &&
          mediaRecoveries++ === 0) {
        hls.recoverMediaError();
        return;
      }
      const kind = data.type === Hls.ErrorTypes.MEDIA_ERROR ? "media" : "network";
      this.#fail({ kind, status: data.response?.code ?? 0 });
    });
    hls.attachMedia(this.#video);
    hls.loadSource(this.#url);
  }

  #nextFrame() {
    const video = this.#video;
    if (video.requestVideoFrameCallback) {
      this.#frameHandle = video.requestVideoFrameCallback((_, meta) => this.#frame(meta.mediaTime));
    } else {
      let last = -1;
      const look = () => {
        if (video.currentTime !== last && video.readyState >= 2) {
          last = video.currentTime;
          this.#frame(last, false);
        }
        this.#frameHandle = requestAnimationFrame(look);
      };
      this.#frameHandle = requestAnimationFrame(look);
    }
  }

  #frame(mediaTime, again = true) {
    this.#frameAt = performance.now();
    if (this.state !== "playing") {
      this.#attempt = 0;
      this.#set("playing");
    }
    this.#onFrame({ wallMs: this.wallAt(mediaTime), mediaTime });
    if (again) this.#nextFrame();
  }

  #watch() {
    if (document.hidden || this.state === "blocked" || this.state === "failed") {
      if (document.hidden) this.#startedAt = this.#frameAt = performance.now();
      return;
    }
    const silent = performance.now() - Math.max(this.#frameAt, this.#startedAt);
    if (this.state === "playing" && silent > STALL_MS) this.#set("stalled");
    if (silent > JUMP_MS && performance.now() - this.#jumpedAt > JUMP_MS && this.state !== "connecting" && !this.#retries()) {
      this.#jumpedAt = performance.now();
      this.#toLiveEdge();
    }
    // While hls.js asks again a new beginning would only ask for the same; it gives up by itself.
    if (this.state === "stalled" && silent > REVIVE_MS && !this.#retries()) this.#fail({ kind: "stalled" });
    if (this.state === "connecting" && silent > 3 * REVIVE_MS) this.#fail({ kind: "network" });
  }

  #retries() {
    return this.#troubledAt > 0 && performance.now() - this.#troubledAt < REVIVE_MS;
  }

  #toLiveEdge() {
    const edge = this.#hls?.liveSyncPosition;
    if (Number.isFinite(edge)) this.#video.currentTime = edge;
  }

  #fail(why) {
    this.#release();
    const pause = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#attempt++);
    this.retryAt = Date.now() + pause;
    this.#retryTimer = setTimeout(() => this.#begin(), pause);
    this.#set("failed", why);
  }

  #release() {
    clearTimeout(this.#retryTimer);
    clearInterval(this.#watchTimer);
    if (this.#video.cancelVideoFrameCallback) this.#video.cancelVideoFrameCallback(this.#frameHandle);
    else cancelAnimationFrame(this.#frameHandle);
    this.#hls?.destroy();
    this.#hls = null;
    this.#frag = null;
  }

  #set(state, why = {}) {
    this.state = state;
    this.#onState(state, why);
  }
}
