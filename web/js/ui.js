// Small helpers to build the page: elements, icons, short notices, dialogs.

import { t } from "./i18n.js";

const NOTICE_MS = 6000;

// el("button", {class: "x", title: "y", onclick: fn, data: {id: 1}}, child, "text")
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "data") Object.assign(node.dataset, value);
    else if (name.startsWith("on")) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

export function icon(name) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(ns, "use");
  use.setAttribute("href", `/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `/icons.svg#${name}`);
}

export function iconButton(name, onclick, className = "icon-button") {
  return el("button", { type: "button", class: className, onclick }, icon(name));
}

// A button's words for those who see it (tooltip) and those who hear it.
export function nameButton(button, text) {
  button.title = text;
  button.setAttribute("aria-label", text);
}

// Changing a text only when it differs keeps screen readers quiet and the layout still.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A short notice at the bottom; kind "good" or "bad".
export function notice(text, kind = "good") {
  const box = document.getElementById("notices");
  const item = el("p", { class: "notice", data: { kind } }, icon(kind === "good" ? "check" : "warning"), el("span", {}, text));
  box.append(item);
  // Above an open dialog too: the top layer shows last what was put there last.
  if (box.showPopover) {
    if (box.matches(":popover-open")) box.hidePopover();
    box.showPopover();
  }
  setTimeout(() => item.remove(), NOTICE_MS);
}

// Asks in a dialog; true when confirmed.
export function confirmDialog({ title, text, submit }) {
  const dialog = document.getElementById("confirm");
  setText(dialog.querySelector("h2"), title);
  setText(dialog.querySelector("p"), text);
  const yes = dialog.querySelector("button[value=yes]");
  setText(yes, submit);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

export function closeOnBackdrop(dialog) {
  dialog.addEventListener("mousedown", (e) => {
    if (e.target === dialog) dialog.close();
  });
  for (const b of dialog.querySelectorAll("[data-close]")) {
    b.addEventListener("click", () => dialog.close());
    nameButton(b, b.textContent.trim() || t("dialog.close"));
  }
}
