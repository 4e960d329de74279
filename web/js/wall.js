// The wall of cameras: which tiles exist, in how many columns, on which page. Only the tiles of the page on screen play.

import { t } from "./i18n.js";
import { Tile } from "./tile.js";
import { nameButton, setText } from "./ui.js";

const AUTO_MAX = 16;
const TILE_MIN = 240; // px; smaller ones would show nothing: the wall scrolls instead
const SHAPE = 16 / 9;

// The greatest width of a tile with which `count` of them fit a room of width x height, in `columns`.
function fitWidth(columns, count, room) {
  const rows = Math.ceil(count / columns);
  const wide = (room.width - (columns - 1) * room.gap) / columns;
  const high = (room.height - (rows - 1) * room.gap) / rows - 2;
  return Math.max(TILE_MIN, Math.min(wide, high * SHAPE));
}

// How many columns make the tiles greatest.
function bestColumns(count, room) {
  let best = 1;
  for (let columns = 2; columns <= count; columns++)
    if (fitWidth(columns, count, room) > fitWidth(best, count, room)) best = columns;
  return best;
}

export class Wall {
  #cameras = [];
  #tiles = new Map(); // path -> Tile
  #layout = "auto";
  #page = 0;
  #expanded = null;
  #actions;
  #controls;

  // controls: {layout: select, pager, previous, next, label}
  constructor(root, controls, actions) {
    this.root = root;
    this.#controls = controls;
    this.#actions = { ...actions, expand: (tile) => this.#toggleExpanded(tile.camera.path) };
    // On a narrow screen the page scrolls, and the style sheet alone says how the tiles lie.
    this.observer = new ResizeObserver(() => this.#fit());
    this.observer.observe(root.parentElement);
    controls.layout.addEventListener("change", () => {
      this.#layout = controls.layout.value;
      this.#page = 0;
      this.#arrange();
    });
    controls.previous.addEventListener("click", () => this.#turn(-1));
    controls.next.addEventListener("click", () => this.#turn(1));
  }

  get tiles() {
    return [...this.#tiles.values()];
  }

  get cameras() {
    return this.#cameras;
  }

  setCameras(cameras) {
    this.#cameras = cameras;
    this.#arrange();
  }

  // Brings a camera onto the screen, turning the page if need be.
  show(id) {
    const i = this.#cameras.findIndex((c) => c.id === id);
    if (i < 0) return;
    this.#page = Math.floor(i / this.#pageSize());
    this.#arrange();
    const tile = this.#tiles.get(this.#cameras[i].path);
    tile?.root.scrollIntoView({ block: "nearest", behavior: "smooth" });
    tile?.root.classList.add("flash");
    setTimeout(() => tile?.root.classList.remove("flash"), 1200);
  }

  translate() {
    for (const tile of this.#tiles.values()) tile.translate();
    this.#label();
  }

  #pageSize() {
    return this.#layout === "auto" ? AUTO_MAX : Number(this.#layout) ** 2;
  }

  #pages() {
    return Math.max(1, Math.ceil(this.#cameras.length / this.#pageSize()));
  }

  #turn(by) {
    this.#page = Math.min(this.#pages() - 1, Math.max(0, this.#page + by));
    this.#arrange();
  }

  #toggleExpanded(path) {
    this.#expanded = this.#expanded === path ? null : path;
    for (const [p, tile] of this.#tiles) tile.setExpanded(p === this.#expanded);
    this.root.classList.toggle("has-expanded", this.#tiles.has(this.#expanded));
  }

  #arrange() {
    this.#page = Math.min(this.#page, this.#pages() - 1);
    const size = this.#pageSize();
    const onScreen = this.#cameras.slice(this.#page * size, (this.#page + 1) * size);
    const wanted = new Map(onScreen.map((c) => [c.path, c]));
    for (const [path, tile] of this.#tiles) {
      if (wanted.has(path)) continue;
      tile.destroy();
      this.#tiles.delete(path);
      if (this.#expanded === path) this.#expanded = null;
    }
    let before = null;
    for (const camera of onScreen) {
      let tile = this.#tiles.get(camera.path);
      if (!tile) {
        tile = new Tile(camera, this.#actions);
        this.#tiles.set(camera.path, tile);
      } else if (tile.camera.name !== camera.name) {
        tile.camera = camera;
      }
      // Moving a playing video restarts it, so that only what is out of place is moved.
      const place = before ? before.nextElementSibling : this.root.firstElementChild;
      if (place !== tile.root) this.root.insertBefore(tile.root, place);
      before = tile.root;
    }
    this.#fit();
    this.root.classList.toggle("has-expanded", this.#tiles.has(this.#expanded));
    this.#label();
    this.#actions.socketState();
  }

  #fit() {
    const count = this.#tiles.size;
    if (!count) return;
    const main = this.root.parentElement;
    const gap = parseFloat(getComputedStyle(this.root).columnGap) || 0;
    const room = { width: main.clientWidth - 2 * gap, height: main.clientHeight - 2 * gap, gap };
    const columns = this.#layout === "auto" ? bestColumns(count, room) : Math.min(Number(this.#layout), count);
    this.root.style.setProperty("--columns", String(columns));
    this.root.style.setProperty("--tile", `${Math.floor(fitWidth(columns, count, room))}px`);
  }

  #label() {
    const { pager, previous, next, label, layout } = this.#controls;
    const pages = this.#pages();
    pager.hidden = pages < 2;
    previous.disabled = this.#page === 0;
    next.disabled = this.#page === pages - 1;
    setText(label, t("layout.page", { page: this.#page + 1, pages }));
    nameButton(previous, t("layout.previous"));
    nameButton(next, t("layout.next"));
    layout.setAttribute("aria-label", t("layout.label"));
    for (const o of layout.options) {
      const n = Number(o.value);
      o.textContent = o.value === "auto" ? t("layout.auto") : n === 1 ? t("layout.one") : t("layout.grid", { n });
    }
  }
}
