"use strict";
// What the charts of every report share: numbers as text, colours of the theme, axes, zoom. Chart.js
// has no zoom: zoomable() moves the limits of its scales.
const charts = (() => {
  const wide = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18, Z: 1e21 };
  const plain = (v, digits = 3) => (Number.isInteger(v) ? String(v) : String(+v.toPrecision(digits)));
  const short = (v, digits = 3) => {
    let text = plain(v, digits);
    for (const [unit, size] of Object.entries(wide)) {
      if (Math.abs(v) >= size * 0.9995) text = plain(v / size, digits) + unit;
    }
    return text;
  };
  const time = (s) => (s < 120 ? plain(s) + " s" : s < 7200 ? plain(s / 60) + " min"
    : s < 172800 ? plain(s / 3600) + " h" : plain(s / 86400) + " days");

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const names = ["ink", "soft", "line", "paper", "train", "valid", "ramp-0", "ramp-1", "ramp-2"];
    return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
  }
  // The colour at t of [0, 1] between the three of the ramp.
  function ramp(c, t) {
    const [from, to, at] = t < 0.5 ? [c["ramp-0"], c["ramp-1"], 2 * t] : [c["ramp-1"], c["ramp-2"], 2 * t - 1];
    const part = (text, i) => parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
    const mixed = [0, 1, 2].map((i) => Math.round(part(from, i) * (1 - at) + part(to, i) * at));
    return "#" + mixed.map((v) => v.toString(16).padStart(2, "0")).join("");
  }

  // At most `most` round values in a range: for a logarithmic axis too where it spans little.
  function evenTicks(min, max, most) {
    const least = (max - min) / most, power = 10 ** Math.floor(Math.log10(least));
    const step = power * [1, 2, 5, 10].find((n) => n * power >= least * (1 - 1e-9));
    const ticks = [];
    for (let i = Math.ceil(min / step - 1e-9); i * step <= max + 1e-9 * step; ++i) ticks.push(+(i * step).toPrecision(12));
    return ticks;
  }
  function logTicks(min, max, most) {
    if (!(min > 0 && max > min)) return [];
    const from = Math.floor(Math.log10(min)), to = Math.ceil(Math.log10(max));
    const ticks = (digits, stride) => {
      const list = [];
      for (let e = from; e <= to; ++e) {
        if (((e % stride) + stride) % stride === 0) digits.forEach((n) => list.push(+(n + "e" + e)));
      }
      return list.filter((v) => v >= min * (1 - 1e-9) && v <= max * (1 + 1e-9));
    };
    if (max / min > 8) {
      for (const digits of [[1, 2, 5], [1, 3], [1]]) {
        const list = ticks(digits, 1);
        if (list.length <= most) return list;
      }
      return ticks([1], Math.ceil((to - from) / most));
    }
    return evenTicks(min, max, most);
  }
  const logarithmic = {
    type: "logarithmic",
    afterBuildTicks: (scale) => {
      const most = scale.isHorizontal() ? Math.max(2, Math.floor(scale.chart.width / 75)) : 8;
      scale.ticks = logTicks(scale.min, scale.max, most).map((value) => ({ value }));
    },
  };

  // x, y: {title, text (of a value), log, range: [min, max] (none: that of the data), most (ticks)}.
  function scales(c, x, y) {
    const axis = (one) => ({
      type: "linear", ...(one.log ? logarithmic : {}), ...(one.range ? { min: one.range[0], max: one.range[1] } : {}),
    });
    return {
      x: {
        ...axis(x), grid: { display: false, borderColor: c.line },
        title: { display: true, text: x.title, color: c.soft },
        ticks: { color: c.soft, maxRotation: 0, autoSkipPadding: x.log ? 6 : 24, includeBounds: false, callback: (v) => x.text(v) },
      },
      y: {
        ...axis(y), grid: { color: c.line, borderColor: c.line, drawTicks: false },
        ticks: { color: c.soft, padding: 8, maxTicksLimit: 7, includeBounds: false, callback: (v) => y.text(v) },
      },
    };
  }
  function options(c, x, y, tooltip, interaction) {
    return {
      animation: false, responsive: true, maintainAspectRatio: false, normalized: true, interaction,
      scales: scales(c, x, y),
      plugins: {
        legend: { display: false },
        tooltip: {
          backgroundColor: c.paper, titleColor: c.ink, bodyColor: c.ink, borderColor: c.line,
          borderWidth: 1, padding: 10, displayColors: false, titleFont: { weight: "600" }, ...tooltip,
        },
      },
    };
  }
  function line(label, data, colour, extra) {
    return { label, data, borderColor: colour, backgroundColor: colour, borderWidth: 1.6,
      pointRadius: 0, pointHoverRadius: 3, tension: 0, ...extra };
  }

  // Zoom. `home` is the view that a chart was drawn with; no view is larger.
  const views = new WeakMap();  // chart → {home: {x: {min, max, given}, y}, frame}
  function view(chart) {
    if (!views.has(chart)) {
      const home = {};
      for (const name of ["x", "y"]) {
        const { min, max } = chart.scales[name], { min: least, max: most } = chart.options.scales[name];
        home[name] = { min, max, given: { min: least, max: most } };
      }
      views.set(chart, { home, frame: null });
    }
    return views.get(chart);
  }
  // Shows what lies between two pixels of each axis that is named; whether that changed anything.
  function show(chart, pixels) {
    const { home } = view(chart);
    let changed = false;
    for (const [name, [from, to]] of Object.entries(pixels)) {
      const scale = chart.scales[name], limits = chart.options.scales[name];
      const ends = [scale.getValueForPixel(from), scale.getValueForPixel(to)].sort((a, b) => a - b);
      const whole = home[name], near = (a, b) => Math.abs(a - b) <= 1e-9 * (Math.abs(a) + Math.abs(b));
      const min = ends[0] < whole.min || near(ends[0], whole.min) ? whole.min : ends[0];
      const max = ends[1] > whole.max || near(ends[1], whole.max) ? whole.max : ends[1];
      const closest = 0.002 * (Math.abs(min) + Math.abs(max));
      if (max - min < closest || (near(min, scale.min) && near(max, scale.max))) continue;
      Object.assign(limits, { min, max });
      changed = true;
    }
    if (changed) chart.update("none");
    return changed;
  }
  function reset(chart) {
    for (const [name, { given }] of Object.entries(view(chart).home)) Object.assign(chart.options.scales[name], given);
    chart.update("none");
  }
  // A place in the chart's area.
  function inside(chart, x, y) {
    const { left, right, top, bottom } = chart.chartArea;
    return [Math.min(right, Math.max(left, x)), Math.min(bottom, Math.max(top, y))];
  }
  function scaled(chart, factor, atX, atY) {
    const { left, right, top, bottom } = chart.chartArea, [x, y] = inside(chart, atX, atY);
    return show(chart, {
      x: [x - (x - left) * factor, x + (right - x) * factor],
      y: [y - (y - top) * factor, y + (bottom - y) * factor],
    });
  }
  function moved(chart, name, part) {
    const { left, right, top, bottom } = chart.chartArea;
    const [from, to] = name === "x" ? [left, right] : [top, bottom];
    const scale = chart.scales[name], { min, max } = view(chart).home[name];
    const far = [scale.getPixelForValue(min), scale.getPixelForValue(max)].sort((a, b) => a - b);
    const by = Math.max(far[0] - from, Math.min(far[1] - to, part * (to - from)));
    return Math.abs(by) > 0.5 && show(chart, { [name]: [from + by, to + by] });
  }
  // A frame that is much longer than high chooses a part of that axis alone.
  function framed(chart, { x0, y0, x1, y1 }) {
    const w = Math.abs(x1 - x0), h = Math.abs(y1 - y0);
    if (Math.max(w, h) < 8) return;
    show(chart, { ...(w >= 8 && w > h / 5 ? { x: [x0, x1] } : {}), ...(h >= 8 && h > w / 5 ? { y: [y0, y1] } : {}) });
  }
  const keys = {
    "+": (chart, x, y) => scaled(chart, 0.7, x, y), "=": (chart, x, y) => scaled(chart, 0.7, x, y),
    "-": (chart, x, y) => scaled(chart, 1 / 0.7, x, y), 0: reset, Escape: reset,
    ArrowLeft: (chart) => moved(chart, "x", -0.2), ArrowRight: (chart) => moved(chart, "x", 0.2),
    ArrowUp: (chart) => moved(chart, "y", -0.2), ArrowDown: (chart) => moved(chart, "y", 0.2),
  };
  function wheel(event, chart) {
    if (!(event.ctrlKey || event.metaKey || document.activeElement === chart.canvas)) return;
    if (scaled(chart, event.deltaY < 0 ? 0.85 : 1 / 0.85, event.offsetX, event.offsetY) || event.ctrlKey) event.preventDefault();
  }
  function drag(canvas, now) {
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      const [x0, y0] = inside(now(), event.offsetX, event.offsetY);
      view(now()).frame = { x0, y0, x1: x0, y1: y0 };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const { frame } = view(now());
      if (!frame) return;
      [frame.x1, frame.y1] = inside(now(), event.offsetX, event.offsetY);
      now().draw();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        const { frame } = view(now());
        view(now()).frame = null;
        if (frame && end === "pointerup") framed(now(), frame);
        now().draw();
      });
    }
  }
  // Wheel (after a click, or with Ctrl), drag, double click and keys; once for a canvas, whichever
  // chart it shows.
  function zoomable(canvas) {
    if (canvas.tabIndex === 0) return;
    const now = () => Chart.getChart(canvas);
    canvas.tabIndex = 0;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "reset", textContent: "Whole view", hidden: true });
    button.addEventListener("click", () => { reset(now()); canvas.focus(); });
    canvas.after(button);
    canvas.addEventListener("wheel", (event) => wheel(event, now()), { passive: false });
    canvas.addEventListener("dblclick", () => reset(now()));
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
      const { left, right, top, bottom } = now().chartArea;
      if (keys[event.key](now(), (left + right) / 2, (top + bottom) / 2) !== false) event.preventDefault();
    });
    drag(canvas, now);
  }
  Chart.register({
    id: "zoom",
    afterDraw(chart) {
      const { home, frame } = view(chart), button = chart.canvas.nextElementSibling;
      if (button) button.hidden = ["x", "y"].every((name) => chart.scales[name].min <= home[name].min && chart.scales[name].max >= home[name].max);
      if (!frame) return;
      const c = colours(), box = [frame.x0, frame.y0, frame.x1 - frame.x0, frame.y1 - frame.y0];
      Object.assign(chart.ctx, { fillStyle: c.train + "22", strokeStyle: c.train, lineWidth: 1 });
      chart.ctx.fillRect(...box);
      chart.ctx.strokeRect(...box);
    },
  });

  // Draws with draw(add, colours) now and whenever the theme changes; add(id, datasets, x, y, tooltip,
  // interaction) puts a chart on the canvas of that id, where there is one.
  function page(draw) {
    let drawn = [];
    const redraw = () => {
      drawn.forEach((chart) => chart.destroy());
      drawn = [];
      const c = colours();
      Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
      Chart.defaults.font.size = 12;
      draw((id, datasets, x, y, tooltip, interaction) => {
        const canvas = document.getElementById(id);
        if (!canvas) return;
        zoomable(canvas);
        drawn.push(new Chart(canvas, { type: "line", data: { datasets }, options: options(c, x, y, tooltip, interaction) }));
      }, c);
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    redraw();
    return redraw;
  }
  const series = JSON.parse(document.getElementById("series").textContent);
  return { series, plain, short, time, line, ramp, page };
})();
