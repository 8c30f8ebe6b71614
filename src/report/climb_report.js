// The charts of a climb: loss against compute, IsoFLOP curves, loss against tokens.
(() => {
  const { series, short, line, ramp } = charts;
  const { sizes, rungs, rows, lines, frontier, known, next, beyond } = series;
  const digits = (v) => v.toPrecision(4);
  const part = (i, n) => (n > 1 ? i / (n - 1) : 0.5);
  const xy = (list) => list.filter((p) => p[0] > 0 && p[1] > 0).map(([x, y]) => ({ x, y }));
  // What stands in the tooltip of a point.
  const lossText = (loss, more) => ["loss " + digits(loss) + " nats a token", ...more];
  const rungText = (p) => lossText(p.loss, [
    ...(p.law ? ["law " + digits(p.law) + " (" + (p.loss >= p.law ? "+" : "") + (100 * (p.loss / p.law - 1)).toFixed(2) + " %)"] : []),
    ...(p.n && p.d ? [short(p.n) + " parameters, " + short(p.d) + " tokens"] : []),
    ...(p.c ? [short(p.c) + " FLOPs"] : []),
    ...(p.excluded ? ["left out of the fit"] : []),
  ]);
  const tooltip = {
    callbacks: {
      title: (items) => (items.length ? items[0].raw.title || items[0].dataset.label : ""),
      label: (item) => item.raw.text || "loss " + digits(item.parsed.y) + " nats a token",
    },
  };
  const interaction = { mode: "nearest", axis: "xy", intersect: false };

  // Limits of an axis that leave some room around the values.
  function range(values, room) {
    const seen = values.filter((v) => v > 0);
    if (!seen.length) return [1, 10];
    const min = Math.log(Math.min(...seen)), max = Math.log(Math.max(...seen));
    const more = Math.max((max - min) * room, 0.01);
    return [Math.exp(min - more), Math.exp(max + more)];
  }
  const axis = (title, values, room) => ({ title, log: true, text: (v) => short(v, 4), range: range(values, room) });
  const lossAxis = (limits) => ({ log: true, text: (v) => String(+v.toPrecision(4)), range: limits });
  // Limits of the loss: those of what counts. A rung that was left out above them is drawn at the edge.
  const lossRange = (data) => range(data.flatMap((d) => d.data).filter((p) => !p.out).map((p) => p.y), 0.06);
  function atEdge(data, [bottom, top]) {
    const edge = top / (top / bottom) ** 0.025;
    return data.map((d) => ({ ...d, data: d.data.map((p) => (p.out && p.y > edge ? { ...p, y: edge } : p)) }));
  }
  function addChart(add, id, data, title) {
    const limits = lossRange(data), x = data.flatMap((d) => d.data).map((p) => p.x);
    add(id, atEdge(data, limits), axis(title, x, 0.03), lossAxis(limits), tooltip, interaction);
  }

  function dots(label, points, x, colour, extra) {
    const data = points.filter((p) => p[x] > 0).map((p) => ({ x: p[x], y: p.loss, title: p.name, text: rungText(p), out: p.excluded }));
    return line(label, data, colour, {
      showLine: false, pointRadius: 4, pointHoverRadius: 6, pointBorderWidth: 1.5, pointBorderColor: colour,
      pointBackgroundColor: (context) => (context.raw && context.raw.out ? "transparent" : colour), ...extra,
    });
  }
  function key(id, entries) {
    const place = document.getElementById(id);
    if (!place) return;
    place.replaceChildren(...entries.map(([text, colour, kind]) => {
      const entry = document.createElement("span"), mark = document.createElement("i");
      mark.className = kind;
      mark.style.color = colour;
      entry.append(mark, text);
      return entry;
    }));
  }
  // Of many entries the first, the last and some between.
  const some = (list) => (list.length <= 8 ? list
    : [0, 1, 2, 3, 4].map((i) => list[Math.round(i * (list.length - 1) / 4)]));

  const sizeColour = (c, i) => ramp(c, part(i, sizes.length));
  const nextName = () => (next.loss ? "next rung, measured" : "next rung");

  function computeData(c) {
    const law = frontier.map(([x, y, n, d]) => ({
      x, y, title: "the law, best size", text: lossText(y, [short(x) + " FLOPs", short(n) + " parameters, " + short(d) + " tokens"]),
    }));
    const wide = (name, low, high, width, colour) => (next.c && low && high
      ? [line(name, [low, high].map((y) => ({ x: next.c, y, title: "predicted for the next rung", text: [name + ": " + digits(low) + " to " + digits(high)] })), colour,
        { borderWidth: width, pointHoverRadius: 0 })] : []);
    const joined = next.c && next.low80 && next.high80 && beyond.c && beyond.low80 && beyond.high80;
    const edge = (name, fill) => line("80 % interval", [[next.c, next[name]], [beyond.c, beyond[name]]].map(([x, y]) => ({
      x, y, title: "80 % interval", text: short(x) + " FLOPs: " + digits(y),
    })), "transparent", { fill, backgroundColor: c.valid + "24", pointHoverRadius: 0 });
    return [
      ...(next.c && next.loss ? [line(nextName(), [{ x: next.c, y: next.loss, title: nextName(), text: rungText({ ...next, law: null }) }], c.valid,
        { pointRadius: 5, pointHoverRadius: 7, showLine: false, pointBorderColor: c.paper, pointBorderWidth: 1.5, backgroundColor: c.ink, borderColor: c.ink })] : []),
      ...(next.c && next.median ? [line("predicted", [{ x: next.c, y: next.median, title: "predicted for the next rung", text: lossText(next.median, []) }], c.valid,
        { pointStyle: "line", pointRadius: 14, pointHoverRadius: 14, pointBorderWidth: 1.5, showLine: false })] : []),
      ...sizes.map((n, i) => dots(short(n), rungs.filter((p) => p.size === i), "c", sizeColour(c, i))),
      ...wide("80 %", next.low80, next.high80, 18, c.valid + "59"),
      ...wide("95 %", next.low95, next.high95, 6, c.valid + "59"),
      line("law", law.filter((p) => p.x <= known * 1.0001), c.ink, { borderWidth: 1.4, pointHitRadius: 0 }),
      line("law", law.filter((p) => p.x >= known * 0.9999), c.ink, { borderWidth: 1.4, borderDash: [5, 4] }),
      ...(joined ? [edge("low80", false), edge("high80", "-1")] : []),
    ];
  }
  function drawCompute(add, c) {
    addChart(add, "compute", computeData(c), "training compute, FLOPs");
    key("compute-key", [
      ...some(sizes.map((n, i) => [short(n), sizeColour(c, i), "dot"])).map(([text, ...rest], i) => [i ? text : text + " parameters", ...rest]),
      ...(frontier.length ? [["the law, best size", c.ink, "stroke"]] : []),
      ...(next.median ? [["predicted, 80 % and 95 %", c.valid, "bar"]] : []),
      ...(rungs.some((p) => p.excluded) ? [["left out", c.soft, "hollow"]] : []),
      ...(next.loss ? [["measured", c.ink, "dot"]] : []),
    ]);
  }
  function drawSizes(add, c) {
    const colour = (i) => ramp(c, part(i, rows.length));
    const data = rows.flatMap((row, i) => {
      const name = short(row.c) + " FLOPs";
      return [
        dots(name, rungs.filter((p) => p.row === row.row), "n", colour(i)),
        ...(row.best ? [line(name, [{ x: row.best[0], y: row.best[1], title: name + ": best size by the law",
          text: lossText(row.best[1], [short(row.best[0]) + " parameters, " + short(row.best[2]) + " tokens"]) }], colour(i),
        { pointStyle: "rectRot", pointRadius: 6, pointHoverRadius: 8, pointBackgroundColor: c.paper, pointBorderWidth: 1.6, showLine: false })] : []),
        ...(row.curve ? [line(name + ", the law", xy(row.curve), colour(i), { borderWidth: 1.3 })] : []),
      ];
    });
    addChart(add, "sizes", data, "parameters");
    key("sizes-key", some(rows.map((row, i) => [short(row.c), colour(i), "stroke"])).map(([text, ...rest], i) => [i ? text : text + " FLOPs", ...rest]));
  }
  function drawTokens(add, c) {
    const data = [
      ...sizes.map((n, i) => dots(short(n) + " parameters", rungs.filter((p) => p.size === i), "d", sizeColour(c, i))),
      ...lines.map(({ size, curve }) => line(short(sizes[size]) + " parameters, the law", xy(curve), sizeColour(c, size), { borderWidth: 1.3 })),
    ];
    addChart(add, "tokens", data, "tokens");
    key("tokens-key", some(sizes.map((n, i) => [short(n), sizeColour(c, i), "stroke"])).map(([text, ...rest], i) => [i ? text : text + " parameters", ...rest]));
  }
  charts.page((add, c) => {
    drawCompute(add, c);
    drawSizes(add, c);
    drawTokens(add, c);
  });
})();
