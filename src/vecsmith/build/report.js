"use strict";
(() => {
  const data = JSON.parse(document.getElementById("points").textContent);
  const canvas = document.getElementById("map");
  const stage = document.getElementById("stage");
  const tip = document.getElementById("tip");
  const legend = Array.from(document.querySelectorAll("#legend button"));
  const reach = 12;
  const shown = data.groups.map(() => true);
  const most = data.dots.reduce((m, d) => [Math.max(m[0], d[0]), Math.max(m[1], d[1])], [1, 1]);
  let colours = [], ink = "", zoom = 1, panX = 0, panY = 0, fit = 1, picked = -1, waiting = false;

  const place = (dot) => [
    canvas.clientWidth / 2 + panX + (dot[0] - most[0] / 2) * fit * zoom,
    canvas.clientHeight / 2 + panY - (dot[1] - most[1] / 2) * fit * zoom,
  ];

  function restyle() {
    const style = getComputedStyle(document.documentElement);
    colours = data.groups.map((_, i) => style.getPropertyValue(`--g${i}`).trim());
    ink = style.getPropertyValue("--ink").trim();
    draw();
  }

  function paint() {
    waiting = false;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    fit = Math.min((width - 24) / most[0], (height - 24) / most[1]);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const radius = Math.min(6, 2.2 * Math.sqrt(zoom));
    pen.globalAlpha = 0.75;
    for (const dot of data.dots) {
      if (!shown[dot[4]]) continue;
      const [x, y] = place(dot);
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      pen.fillStyle = colours[dot[4]];
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (picked >= 0) {
      const [x, y] = place(data.dots[picked]);
      pen.strokeStyle = ink;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(x, y, radius + 3, 0, 7);
      pen.stroke();
    }
  }

  function draw() {
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(paint);
    }
  }

  function scale(factor, x, y) {
    const next = Math.min(60, Math.max(0.5, zoom * factor));
    const dx = x - canvas.clientWidth / 2, dy = y - canvas.clientHeight / 2;
    panX = dx - (dx - panX) * (next / zoom);
    panY = dy - (dy - panY) * (next / zoom);
    zoom = next;
    hide();
  }

  function hide() {
    picked = -1;
    tip.hidden = true;
    draw();
  }

  function pick(x, y) {
    let best = reach * reach, found = -1;
    data.dots.forEach((dot, i) => {
      if (!shown[dot[4]]) return;
      const [a, b] = place(dot);
      const far = (a - x) * (a - x) + (b - y) * (b - y);
      if (far < best) [best, found] = [far, i];
    });
    if (found < 0) return hide();
    picked = found;
    const dot = data.dots[found];
    const name = document.createElement("b");
    name.textContent = data.paths[dot[2]];
    tip.replaceChildren(name, data.headings[dot[3]] || "(no heading)");
    tip.hidden = false;
    const [a, b] = place(dot);
    const left = a + 14 + tip.offsetWidth > stage.clientWidth ? a - 14 - tip.offsetWidth : a + 14;
    tip.style.left = `${Math.max(2, left)}px`;
    tip.style.top = `${Math.max(2, Math.min(b + 10, stage.clientHeight - tip.offsetHeight - 2))}px`;
    draw();
  }

  const middle = (factor) => scale(factor, canvas.clientWidth / 2, canvas.clientHeight / 2);
  const move = (x, y) => { panX += x; panY += y; hide(); };
  const actions = {
    in: () => middle(1.5),
    out: () => middle(1 / 1.5),
    left: () => move(60, 0),
    right: () => move(-60, 0),
    up: () => move(0, 60),
    down: () => move(0, -60),
    reset: () => { zoom = 1; panX = panY = 0; hide(); },
  };
  const keys = {
    "+": "in", "=": "in", "-": "out", "0": "reset",
    ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down",
  };

  for (const button of document.querySelectorAll("button[data-do]")) {
    button.addEventListener("click", () => actions[button.dataset.do]());
  }
  legend.forEach((button, i) => button.addEventListener("click", () => {
    shown[i] = !shown[i];
    button.setAttribute("aria-pressed", String(shown[i]));
    hide();
  }));
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return hide();
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    actions[keys[event.key]]();
  });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    scale(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
  }, { passive: false });
  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return pick(event.offsetX, event.offsetY);
    const [x, y] = held;
    if (Math.abs(event.clientX - x) + Math.abs(event.clientY - y) < 3) return;
    held = [event.clientX, event.clientY];
    move(event.clientX - x, event.clientY - y);
  });
  canvas.addEventListener("pointerup", (event) => {
    held = null;
    pick(event.offsetX, event.offsetY);
  });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("pointerleave", () => { if (!held) hide(); });
  new ResizeObserver(draw).observe(stage);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
  restyle();
})();
