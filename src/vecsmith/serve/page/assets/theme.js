// A classic script in the head: it runs before the first paint, so a remembered theme never flashes.
"use strict";
(() => {
  const root = document.documentElement;
  const place = "vecsmith-theme";
  const order = ["auto", "light", "dark"];

  // Storage is closed in some private windows; the switch then works without being remembered.
  const recall = () => {
    try {
      return localStorage.getItem(place);
    } catch {
      return null;
    }
  };
  const remember = (theme) => {
    try {
      localStorage.setItem(place, theme);
    } catch {
      /* not remembered */
    }
  };

  let theme = order.includes(recall()) ? recall() : "auto";
  const apply = () => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${theme}`;
    dispatchEvent(new Event("themechange"));
  };
  apply();
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      remember(theme);
      apply();
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
})();
