#include "bench/shapes.h"

#include <fmt/core.h>

#include "base/json.h"

namespace belay::bench {

std::string TrainShape::about() const {
  return fmt::format("{} layers, d {}, {} heads, ffn {}, vocabulary {}, {} x {} tokens",
                     config.n_layers, config.hidden_size, config.n_heads, config.ffn_size,
                     config.vocab_size, sequences, context);
}

TrainShape make_shape(std::string_view name, const TrainSizes& s) {
  TrainShape shape;
  shape.name = name;
  shape.sequences = s.sequences;
  shape.context = s.context;
  model::ModelConfig& c = shape.config;
  c.vocab_size = s.vocab;
  c.hidden_size = s.width;
  c.ffn_size = s.ffn;
  c.n_layers = s.layers;
  c.n_heads = c.n_kv_heads = s.heads;
  c.head_dim = s.width / s.heads;
  c.max_position = s.context;
  return shape;
}

const std::vector<TrainShape>& train_shapes() {
  static const std::vector<TrainShape> shapes = {
      make_shape("S", {6, 384, 6, 1024, 8192, 16, 256}),
      make_shape("M", {12, 768, 12, 2048, 32000, 4, 512}),
      // 800,256 parameters; nanoGPT has 804,096 at this shape.
      make_shape("nano", {4, 128, 4, 344, 65, 12, 64}),
      make_shape("llmc-14M", {6, 384, 6, 1024, 8192, 4, 64}),
      make_shape("llmc-124M", {12, 768, 12, 2048, 50304, 4, 64}),
  };
  return shapes;
}

base::Result<const TrainShape*> find_shape(std::string_view name) {
  std::vector<std::string_view> names;
  std::string known;
  for (const TrainShape& s : train_shapes()) {
    if (s.name == name) return &s;
    names.push_back(s.name);
    known += (known.empty() ? "" : ", ") + s.name;
  }
  const auto near = base::nearest(name, names);
  return base::invalid_argument({.where = "--shape",
                                 .what = "is not known",
                                 .seen = base::printable(name),
                                 .allowed = known,
                                 .next = near ? "did you mean " + *near + "?" : ""});
}

}  // namespace belay::bench
