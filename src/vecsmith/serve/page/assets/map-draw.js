// The drawing of the map: deck.gl with typed arrays, so that fifty thousand dots are one call.
import { DotsLayer } from "./dots-layer.js";
import { Deck, OrthographicView, ScatterplotLayer } from "./vendor/deck.js";

const SPAN = 1000; // the longer side of the map, in the drawing's own units
const EDGE = 24; // pixels kept free around it
const DEEPEST = 12;
const REACH = 5; // pixels between pointer and dot
const DRAGGED = 5; // pixels that make a drag of a click

/** Radius of a dot in pixels where the whole map is in view: many dots are small dots. */
const radiusOf = (count) => Math.min(4.5, Math.max(1.3, 170 / Math.sqrt(count)));

export class Drawing {
  #view = null;
  #fitted = 0;
  #layers = { shown: [], hits: [], ring: null };
  #fills = null; // [what they were made from, colours]

  constructor(stage, bytes, count, { colours, hover, pick, failed }) {
    this.colours = colours;
    this.stage = stage;
    this.#read(bytes, count);
    this.#fit();
    this.deck = new Deck({
      parent: stage,
      views: new OrthographicView({ flipY: false }),
      initialViewState: this.#view,
      controller: { dragRotate: false, doubleClickZoom: true, keyboard: true },
      layers: [],
      // The layers smooth their own edges; doing it twice is what drawing in software suffers from.
      deviceProps: { type: "webgl", webgl: { antialias: false } },
      pickingRadius: REACH,
      useDevicePixels: Math.min(2, devicePixelRatio || 1),
      getCursor: ({ isDragging, isHovering }) =>
        isDragging ? "grabbing" : isHovering ? "pointer" : "grab",
      onViewStateChange: ({ viewState }) => {
        this.#view = { ...viewState, fitted: false };
        hover(null);
      },
      onHover: (info) => hover(this.#rowOf(info), info.x, info.y),
      onLoad: () => this.#name(),
      onError: failed,
    });
    this.#clicks(pick);
    // The whole map stays in view while the panel changes size, until the reader moves it.
    this.watch = new ResizeObserver(() => {
      if (this.#view.fitted) this.fit();
    });
    this.watch.observe(stage);
  }

  // Little-endian in the file; every machine that runs a browser today reads it as it lies.
  #read(bytes, count) {
    const rows = new Uint32Array(bytes, 0, count);
    const x = new Uint16Array(bytes, 4 * count, count);
    const y = new Uint16Array(bytes, 6 * count, count);
    const groups = new Uint8Array(bytes, 8 * count, count);
    // The rest (the last group) lies at the bottom, then the largest group, and so on: small
    // groups stay visible.
    const most = groups.reduce((high, group) => Math.max(high, group), 0);
    const level = (group) => (most > 0 && group === most ? -1 : group);
    const order = Uint32Array.from({ length: count }, (_, at) => at);
    order.sort((one, other) => level(groups[one]) - level(groups[other]) || one - other);
    this.count = count;
    this.rows = new Uint32Array(count);
    this.groups = new Uint8Array(count);
    this.positions = new Float32Array(2 * count);
    this.at = new Map();
    this.bounds = [Infinity, Infinity, -Infinity, -Infinity];
    order.forEach((from, to) => {
      this.rows[to] = rows[from];
      this.groups[to] = groups[from];
      this.at.set(rows[from], to);
      const place = [(x[from] / 65535) * SPAN, (y[from] / 65535) * SPAN];
      this.positions.set(place, 2 * to);
      for (const axis of [0, 1]) {
        this.bounds[axis] = Math.min(this.bounds[axis], place[axis]);
        this.bounds[axis + 2] = Math.max(this.bounds[axis + 2], place[axis]);
      }
    });
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    const [left, low, right, high] = this.bounds;
    const room = [Math.max(1, width - 2 * EDGE), Math.max(1, height - 2 * EDGE)];
    const scale = Math.min(room[0] / Math.max(1, right - left), room[1] / Math.max(1, high - low));
    this.#fitted = Math.log2(scale);
    this.#view = {
      target: [(left + right) / 2, (low + high) / 2, 0],
      zoom: this.#fitted,
      minZoom: this.#fitted - 1,
      maxZoom: this.#fitted + DEEPEST,
      fitted: true,
    };
  }

  /** Bring the whole map into view. */
  fit() {
    this.#fit();
    this.deck.setProps({ initialViewState: this.#view });
    this.#draw();
  }

  /** Zoom by powers of two. */
  zoom(by) {
    const { minZoom, maxZoom, zoom, target } = this.#view;
    const next = Math.min(maxZoom, Math.max(minZoom, zoom + by));
    this.#view = { target, minZoom, maxZoom, zoom: next };
    this.deck.setProps({ initialViewState: this.#view });
  }

  /** Draw: which groups take part, what was found, which row has a ring. Returns hits not drawn. */
  paint(layers) {
    this.#layers = layers;
    this.#draw();
    return layers.hits.filter((hit) => !this.at.has(hit.row)).length;
  }

  #draw() {
    const { hits, ring } = this.#layers;
    const found = hits.filter((hit) => this.at.has(hit.row)).reverse();
    const layers = [this.#dots(found.length > 0), this.#found(found)];
    if (ring !== null && this.at.has(ring)) layers.push(this.#ring(ring));
    this.deck.setProps({ layers });
  }

  #dots(dimmed) {
    const { shown } = this.#layers;
    const key = JSON.stringify([this.colours, shown, dimmed]);
    if (this.#fills?.[0] !== key) this.#fills = [key, this.#fill(shown, dimmed)];
    const radius = radiusOf(this.count);
    return new DotsLayer({
      id: "dots",
      data: {
        length: this.count,
        attributes: {
          getPosition: { value: this.positions, size: 2 },
          getColor: { value: this.#fills[1], size: 4, normalized: true },
        },
      },
      radius,
      largest: Math.max(4, 1.5 * radius),
      zoomedFrom: this.#fitted,
      pickable: true,
    });
  }

  #fill(shown, dimmed) {
    const alphas = shown.map((yes) => (yes ? (dimmed ? 110 : 190) : 20));
    const fills = new Uint8Array(4 * this.count);
    for (let at = 0; at < this.count; at += 1) {
      const group = this.groups[at];
      fills.set(this.colours.groups[group], 4 * at);
      fills[4 * at + 3] = alphas[group];
    }
    return fills;
  }

  #found(hits) {
    return new ScatterplotLayer({
      id: "found",
      data: hits,
      getPosition: (hit) => this.#position(hit.row),
      getRadius: (hit) => (hit.relevant ? (hit.rank === 1 ? 8 : 6.5) : 4),
      radiusUnits: "pixels",
      getFillColor: (hit) => [...this.#colourOf(hit.row), hit.relevant ? 255 : 140],
      getLineColor: (hit) => [...this.colours.ink, hit.relevant ? 255 : 120],
      getLineWidth: (hit) => (hit.relevant ? 1.75 : 1),
      lineWidthUnits: "pixels",
      stroked: true,
      pickable: true,
      updateTriggers: { getFillColor: this.colours, getLineColor: this.colours },
    });
  }

  #ring(row) {
    return new ScatterplotLayer({
      id: "ring",
      data: [row],
      getPosition: (one) => this.#position(one),
      getRadius: 13,
      radiusUnits: "pixels",
      filled: false,
      stroked: true,
      getLineColor: this.colours.ink,
      getLineWidth: 2.5,
      lineWidthUnits: "pixels",
    });
  }

  #position(row) {
    const at = 2 * this.at.get(row);
    return [this.positions[at], this.positions[at + 1]];
  }

  #colourOf(row) {
    return this.colours.groups[this.groups[this.at.get(row)]];
  }

  // The browser's own clicks: deck.gl's are lost where drawing is slower than a quarter of a second.
  #clicks(pick) {
    let from = [0, 0];
    this.press = ({ clientX, clientY }) => {
      from = [clientX, clientY];
    };
    this.click = ({ clientX, clientY }) => {
      if (Math.hypot(clientX - from[0], clientY - from[1]) > DRAGGED) return;
      const { left, top } = this.stage.getBoundingClientRect();
      const info = this.deck.pickObject({ x: clientX - left, y: clientY - top, radius: REACH });
      const row = this.#rowOf(info);
      if (row !== null) pick(row);
    };
    this.stage.addEventListener("pointerdown", this.press, { capture: true });
    this.stage.addEventListener("click", this.click);
  }

  #rowOf(info) {
    if (!info?.layer || info.index < 0) return null;
    return info.layer.id === "found" ? info.object.row : this.rows[info.index];
  }

  /** Where a row is drawn, in pixels from the corner of the stage. */
  placeOf(row) {
    const [viewport] = this.deck.getViewports();
    return viewport && this.at.has(row) ? viewport.project(this.#position(row)) : null;
  }

  #name() {
    const canvas = this.deck.getCanvas();
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Map of ${this.count} passages. Arrow keys move it, plus and minus zoom; the passages found are those of the list of results.`);
    this.stage.dataset.drawn = String(this.count);
  }

  end() {
    this.watch.disconnect();
    this.stage.removeEventListener("pointerdown", this.press, { capture: true });
    this.stage.removeEventListener("click", this.click);
    delete this.stage.dataset.drawn;
    this.deck.finalize();
    this.stage.replaceChildren();
  }
}
