// The curves of a run.
(() => {
  const { series, plain, short, time, line } = charts;
  const axes = {
    tokens: { title: "tokens trained on", text: short },
    flops: { title: "floating-point operations", text: short },
    seconds: { title: "time in training", text: time },
  };
  // The mean of the neighbours, as many on either side, so that a falling curve is not lifted.
  const smooth = (values) => values.map((v, i) => {
    const wide = Math.min(6, Math.floor(values.length / 60), i, values.length - 1 - i);
    const near = values.slice(i - wide, i + wide + 1).filter((n) => n != null);
    return v == null ? null : near.reduce((sum, n) => sum + n, 0) / near.length;
  });
  const points = (part, axis, values) => part[axis]
    .map((x, i) => ({ x, y: values[i] }))
    .filter((p) => p.x != null && p.y != null);
  const state = { axis: "tokens", scale: "linear" };

  const draw = charts.page((add, c) => {
    const { train, valid } = series, { axis } = state, log = state.scale === "logarithmic";
    const positive = (list) => (log ? list.filter((p) => p.x > 0) : list);
    const { title, text } = axes[axis];
    const tooltip = {
      callbacks: {
        title: (items) => (items.length ? title + ": " + text(items[0].parsed.x) : ""),
        label: (item) => item.dataset.label + ": " + (+item.parsed.y.toPrecision(5)),
      },
    };
    const chart = (id, datasets, yText, logX) => add(id, datasets, { title, text, log: logX }, { text: yText },
      tooltip, { mode: "nearest", axis: "x", intersect: false });
    chart("loss", [
      line("validation, nats per token", positive(points(valid, axis, valid.val_loss)), c.valid,
        { pointRadius: 3.5, pointHoverRadius: 5, borderWidth: 1.6 }),
      line("training, smoothed", positive(points(train, axis, smooth(train.loss))), c.train, { borderWidth: 2 }),
      line("training, as logged", positive(points(train, axis, train.loss)), c.train + "59", { borderWidth: 1 }),
    ], plain, log);
    chart("speed", [line("tokens a second", points(train, axis, train.tokens_per_second), c.train)], short);
    chart("norm", [line("gradient norm", points(train, axis, train.grad_norm), c.train)], plain);
    chart("rate", [line("learning rate", points(train, axis, train.lr), c.train)], (v) => String(+v.toPrecision(2)));
  });
  for (const input of document.querySelectorAll(".choice input")) {
    input.addEventListener("change", () => { state[input.name] = input.value; draw(); });
  }
})();
