// Every HTTP call of the page: one place for time limits and for the house's error shape {"detail","code","field"}.

import { t } from "./i18n.js";

const TIMEOUT_MS = 10000;
const PAGE_SIZE = 100;
const MAX_PAGES = 10;

// message is a sentence to show; fields maps a body field to what is wrong with it (422).
export class ApiError extends Error {
  constructor(message, { status = 0, code = "", fields = {}, body = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.fields = fields;
    this.body = body;
  }
}

function errorFrom(status, body) {
  const fields = {};
  let message = "";
  const detail = body?.detail;
  if (Array.isArray(detail)) {
    for (const d of detail) {
      const name = Array.isArray(d.loc) ? String(d.loc.at(-1)) : "";
      if (name) fields[name] = d.msg;
      message ||= d.msg;
    }
  } else if (typeof detail === "string") {
    message = detail;
    if (body.field) fields[body.field] = detail;
  }
  return new ApiError(message || t("error.http", { status }), { status, code: body?.code ?? "", fields, body });
}

// body: an object, sent as JSON, or a Blob with its own type.
export async function request(method, url, { body, type = "application/json", timeoutMs = TIMEOUT_MS } = {}) {
  let res;
  try {
    res = await fetch(url, {
      method,
      headers: { Accept: "application/json", ...(body ? { "Content-Type": type } : {}) },
      body: body instanceof Blob ? body : body ? JSON.stringify(body) : undefined,
      cache: "no-store",
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (e) {
    throw new ApiError(t(e.name === "TimeoutError" ? "error.timeout" : "error.network"));
  }
  const text = await res.text().catch(() => "");
  let parsed = null;
  try {
    parsed = text ? JSON.parse(text) : null;
  } catch {
    // An answer that is no JSON (an error page of a proxy) still has its status.
  }
  if (!res.ok) throw errorFrom(res.status, parsed);
  if (text && parsed === null) throw new ApiError(t("error.http", { status: res.status }), { status: res.status });
  return parsed;
}

export async function listCameras() {
  const all = [];
  for (let page = 1; page <= MAX_PAGES; page++) {
    const r = await request("GET", `/api/cameras/?page=${page}&page_size=${PAGE_SIZE}`);
    all.push(...r.results);
    if (!r.next) break;
  }
  return all;
}

export const recentDetections = (n) => request("GET", `/api/detections/?page_size=${n}`).then((r) => r.results);

function queried(path, query) {
  const q = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== "" && v !== undefined && v !== null));
  return request("GET", `${path}?${q}`);
}
export const detections = (query) => queried("/api/detections/", query);
export const alerts = (query) => queried("/api/alerts/", query);
export const counts = (query) => queried("/api/counts/", query);

export const watchlist = () => request("GET", "/ai/watchlist?limit=10000", { timeoutMs: 20000 });
export const watchlistCheck = (plate) => queried("/ai/watchlist/check", { plate });
export const watchlistAdd = (entry) => request("POST", "/ai/watchlist", { body: entry });
export const watchlistRemove = (id) => request("DELETE", `/ai/watchlist/${encodeURIComponent(id)}`);
export const watchlistImport = (file) => request("POST", "/ai/watchlist/import", { body: file, type: "text/csv", timeoutMs: 30000 });

export const cameraStatus = (id) => request("GET", `/streaming/cameras/${id}/status`, { timeoutMs: 5000 });
export const streamingStats = () => request("GET", "/streaming/stats", { timeoutMs: 5000 });
export const provisionCamera = (camera) =>
  request("POST", "/streaming/cameras/provision", { body: camera, timeoutMs: 20000 });
export const removeCamera = (id) => request("DELETE", `/streaming/cameras/${id}`, { timeoutMs: 20000 });

export const detectorHealth = () => request("GET", "/ai/health", { timeoutMs: 5000 });
