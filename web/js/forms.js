// The form that adds a camera. The RTSP address with its password goes to the server and is wiped from the form.

import * as api from "./api.js";
import { t } from "./i18n.js";
import { closeOnBackdrop, notice, setText } from "./ui.js";

// The server's field names to the form's.
const FIELDS = { name: "name", camera_id: "id", rtsp_url: "url", sub_rtsp_url: "sub" };

// rtsp://host/… with user and password put in where they were given apart; null when the address is none.
export function composeUrl(url, user, password) {
  const m = /^(rtsps?:\/\/)(?:[^@/]*@)?([^\s/@]+.*)$/i.exec(url);
  if (!m) return null;
  if (!user) return url;
  return `${m[1]}${encodeURIComponent(user)}${password ? `:${encodeURIComponent(password)}` : ""}@${m[2]}`;
}

export class AddForm {
  #cameras = [];
  #onAdded;

  constructor(dialog, onAdded) {
    this.dialog = dialog;
    this.form = dialog.querySelector("form");
    this.#onAdded = onAdded;
    closeOnBackdrop(dialog);
    this.form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#submit();
    });
    this.form.elements.id.addEventListener("input", () => this.#showPath());
    dialog.addEventListener("close", () => this.form.reset());
  }

  open(cameras) {
    this.#cameras = cameras;
    this.form.reset();
    this.#clearErrors();
    this.form.elements.id.value = String(cameras.reduce((max, c) => Math.max(max, c.id), 0) + 1);
    this.#showPath();
    this.dialog.showModal();
    this.form.elements.name.focus();
  }

  #showPath() {
    setText(this.form.querySelector("#add-id-help"), t("add.idHelp", { id: this.form.elements.id.value || "…" }));
  }

  #clearErrors() {
    for (const p of this.form.querySelectorAll(".field-error")) p.textContent = "";
    for (const i of this.form.querySelectorAll("[aria-invalid]")) i.removeAttribute("aria-invalid");
    this.form.querySelector(".form-error").textContent = "";
  }

  #error(field, text) {
    const input = this.form.elements[field];
    input.setAttribute("aria-invalid", "true");
    this.form.querySelector(`#add-${field}-error`).textContent = text;
    if (!this.form.contains(document.activeElement) || document.activeElement.getAttribute("aria-invalid") !== "true") input.focus();
  }

  // The camera to send, or null after the faults were shown.
  #read() {
    const f = this.form.elements;
    const name = f.name.value.trim();
    const id = Number(f.id.value);
    const [rtsp, smaller] = [f.url, f.sub].map((field) => composeUrl(field.value.trim(), f.user.value.trim(), f.password.value));
    let good = true;
    const bad = (field, key, values) => {
      good = false;
      this.#error(field, t(key, values));
    };
    if (!name) bad("name", "add.needName");
    const holder = this.#cameras.find((c) => c.id === id);
    if (!Number.isSafeInteger(id) || id < 1) bad("id", "add.badId");
    else if (holder) bad("id", "add.idInUse", { name: holder.name });
    if (!f.url.value.trim()) bad("url", "add.needUrl");
    else if (!rtsp) bad("url", "add.badUrl");
    if (f.sub.value.trim() && !smaller) bad("sub", "add.badUrl");
    else if (smaller && smaller === rtsp) bad("sub", "add.sameUrl");
    return good ? { camera_id: id, rtsp_url: rtsp, ...(smaller ? { sub_rtsp_url: smaller } : {}), name, on_demand: f.onDemand.checked, ai_enabled: f.ai.checked } : null;
  }

  async #submit() {
    this.#clearErrors();
    const camera = this.#read();
    if (!camera) return;
    const button = this.form.querySelector("button[type=submit]");
    button.disabled = true;
    setText(button, t("add.submitting"));
    try {
      await api.provisionCamera(camera);
      this.dialog.close();
      notice(t("add.done", { name: camera.name }));
      this.#onAdded();
    } catch (e) {
      this.#showServerError(e);
    } finally {
      button.disabled = false;
      setText(button, t("add.submit"));
    }
  }

  #showServerError(e) {
    let placed = false;
    for (const [field, text] of Object.entries(e.fields ?? {})) {
      if (!(field in FIELDS)) continue;
      this.#error(FIELDS[field], text);
      placed = true;
    }
    if (!placed) this.form.querySelector(".form-error").textContent = e.message;
  }
}
