// The slow twins of the table's rows: the `*_reference` templates of the operations' headers,
// applied to whole inputs, and Muon's, written out here. R is double or complex<double>.
#pragma once

#include "ops/adamw.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/output_head.h"
#include "ops/quantized.h"
#include "ops/rmsnorm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"
#include "ops_table.h"

namespace belay::test {

inline std::size_t index_of(std::int64_t i) { return static_cast<std::size_t>(i); }

template <class R>
std::vector<R> zeros(std::int64_t n) {
  return std::vector<R>(index_of(n), R(0));
}

struct EmbeddingTwin {
  template <class R>
  Arrays<R> operator()(const Inputs& in, const Arrays<R>& a) const {
    const std::vector<std::int32_t> ids(in[0].begin(), in[0].end());
    Arrays<R> out{zeros<R>(in.rows * in.dim(1, 1))};
    ops::embedding_reference(ids.data(), a[1].data(), out[0].data(), in.rows, in.dim(1, 1));
    return out;
  }
};

struct RmsnormTwin {
  bool residual;
  double eps;
  template <class R>
  Arrays<R> operator()(const Inputs& in, const Arrays<R>& a) const {
    const std::int64_t width = in.dim(0, 1), n = in.rows * width;
    Arrays<R> out{zeros<R>(n), zeros<R>(n)};
    for (std::int64_t i = 0; i < n; i += width) {
      ops::rmsnorm_reference(a[0].data() + i, residual ? a[2].data() + i : nullptr, a[1].data(),
                             out[1].data() + i, out[0].data() + i, width, eps);
    }
    if (!residual) out.pop_back();
    return out;
  }
};

struct LinearTwin {
  bool bias;
  template <class R>
  Arrays<R> operator()(const Inputs& in, const Arrays<R>& a) const {
    const std::int64_t out = in.dim(1, 0), width = in.dim(1, 1);
    Arrays<R> y{zeros<R>(in.rows * out)};
    for (std::int64_t r = 0; r < in.rows; ++r) {
      ops::linear_reference(a[0].data() + r * width, a[1].data(), bias ? a[2].data() : nullptr,
                            y[0].data() + r * out, width, out);
    }
    return y;
  }
};

struct QuantizedTwin {
  DType type;
  template <class R>
  Arrays<R> operator()(const Inputs& in, const Arrays<R>&) const {
    const Input &x = in.list[0], &w = in.list[1];
    const std::int64_t out = w.shape[0], width = w.shape[1];
    const std::vector<float> weights = floats_of(blocks_of(w, type), w.shape, type);
    const std::vector<float> rows(x.values.begin(), x.values.end());
    Arrays<R> y{zeros<R>(in.rows * out)};
    std::vector<double> row(static_cast<std::size_t>(out));
    for (std::int64_t r = 0; r < in.rows; ++r) {
      ops::quantized_linear_reference(rows.data() + r * width, weights.data(), row.data(), width,
                                      out);
      for (std::int64_t o = 0; o < out; ++o) {
        const double bias = in[2][static_cast<std::size_t>(o)];
        y[0][static_cast<std::size_t>(r * out + o)] = row[static_cast<std::size_t>(o)] + bias;
      }
    }
    return y;
  }
};

struct RopeTwin {
  std::int64_t n_heads, n_kv_heads, dim;
  bool norm;
  double theta, eps;
  template <class R>
  Arrays<R> operator()(const Inputs& in, const Arrays<R>& a) const {
    const std::int64_t width = (n_heads + 2 * n_kv_heads) * dim;
    Arrays<R> out{a[0]};
    for (std::int64_t r = 0; r < in.rows; ++r) {
      for (std::int64_t h = 0; h < n_heads + n_kv_heads; ++h) {
        const R* w = norm ? a[h < n_heads ? 4 : 5].data() : nullptr;
        const std::int64_t i = r * width + h * dim;
        ops::rope_reference(a[0].data() + i, w, out[0].data() + i, dim, in[1][index_of(r)], theta,
                            eps);
      }
    }
    return out;
  }
};

struct AttentionTwin {
  std::int64_t n_heads, n_kv_heads, dim, window = 0;

  /// Rows [first, first + n) of one head of qkv.
  template <class R>
  std::vector<R> head(const std::vector<R>& qkv, std::int64_t h, std::int64_t first,
                      std::int64_t n) const {
    const std::int64_t width = (n_heads + 2 * n_kv_heads) * dim;
    std::vector<R> rows;
    for (std::int64_t t = first; t < first + n; ++t) {
      const auto from = qkv.begin() + t * width + h * dim;
      rows.insert(rows.end(), from, from + dim);
    }
    return rows;
  }
  template <class R>
  Arrays<R> operator()(const Inputs& in, const Arrays<R>& a) const {
    Arrays<R> out{zeros<R>(in.rows * n_heads * dim)};
    for (std::size_t d = 1; d <= static_cast<std::size_t>(in[1][0]); ++d) {
      const auto first = static_cast<std::int64_t>(in[1][d]);
      const std::int64_t n = static_cast<std::int64_t>(in[1][d + 1]) - first;
      for (std::int64_t h = 0; h < n_heads; ++h) {
        const std::int64_t kv = n_heads + h * n_kv_heads / n_heads;
        std::vector<R> o = zeros<R>(n * dim);
        ops::attention_reference(head(a[0], h, first, n).data(), head(a[0], kv, first, n).data(),
                                 head(a[0], kv + n_kv_heads, first, n).data(), o.data(), n, dim,
                                 window);
        for (std::int64_t t = 0; t < n; ++t) {
          std::copy_n(o.begin() + t * dim, dim, out[0].begin() + ((first + t) * n_heads + h) * dim);
        }
      }
    }
    return out;
  }
};

struct SwigluTwin {
  template <class R>
  Arrays<R> operator()(const Inputs& in, const Arrays<R>& a) const {
    const std::int64_t width = in.dim(0, 1) / 2;
    Arrays<R> out{zeros<R>(in.rows * width)};
    for (std::int64_t r = 0; r < in.rows; ++r) {
      ops::swiglu_reference(a[0].data() + r * 2 * width, out[0].data() + r * width, width);
    }
    return out;
  }
};

/// logits; or log p; or log p and loss.
struct HeadTwin {
  bool logits, loss;
  template <class R>
  Arrays<R> operator()(const Inputs& in, const Arrays<R>& a) const {
    const std::int64_t vocab = in.dim(1, 0), width = in.dim(1, 1);
    if (logits) return LinearTwin{false}(in, a);
    Arrays<R> out{zeros<R>(in.rows)};
    R sum = 0;
    for (std::int64_t t = 0; t < in.rows; ++t) {
      const auto target = static_cast<std::int64_t>(in[2][index_of(t)]);
      if (target < 0) continue;
      out[0][index_of(t)] =
          ops::logprob_reference(a[0].data() + t * width, a[1].data(), vocab, width, target);
      if (loss) sum -= R(in[3][index_of(t)]) * out[0][index_of(t)];
    }
    if (loss) out.push_back({sum});
    return out;
  }
};

struct AdamwTwin {
  float lr, b1, b2, eps, decay;
  std::int64_t step;
  template <class R>
  Arrays<R> operator()(const Inputs&, const Arrays<R>& a) const {
    Arrays<R> out{a[0], a[2], a[3]};
    const auto d = [](float x) { return static_cast<double>(x); };
    for (std::size_t i = 0; i < a[0].size(); ++i) {
      ops::adamw_reference(out[0][i], a[1][i], out[1][i], out[2][i], d(lr), d(b1), d(b2), d(eps),
                           d(decay), step);
    }
    return out;
  }
};

/// Row-major [n, m] times [m, k], or times the transpose of [k, m].
template <class R>
std::vector<R> product(const std::vector<R>& a, const std::vector<R>& b, std::int64_t n,
                       std::int64_t m, std::int64_t k, bool transposed) {
  std::vector<R> out = zeros<R>(n * k);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t l = 0; l < m; ++l) {
      const R x = a[index_of(i * m + l)];
      for (std::int64_t j = 0; j < k; ++j) {
        out[index_of(i * k + j)] += x * b[index_of(transposed ? j * m + l : l * k + j)];
      }
    }
  }
  return out;
}

/// The formulas of ops/muon.h.
struct MuonTwin {
  float lr, momentum, decay;
  bool nesterov;

  template <class R>
  static std::vector<R> transpose(const std::vector<R>& x, std::int64_t rows,
                                  std::int64_t columns) {
    std::vector<R> out(x.size());
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < columns; ++c) {
        out[index_of(c * rows + r)] = x[index_of(r * columns + c)];
      }
    }
    return out;
  }
  template <class R>
  static void newton_schulz(std::vector<R>& x, std::int64_t n, std::int64_t m) {
    using std::sqrt;
    R squares = 0;
    for (const R& v : x) squares += v * v;
    for (R& v : x) v /= sqrt(squares) + R(1e-7);
    for (int i = 0; i < 5; ++i) {
      const std::vector<R> a = product(x, x, n, m, n, true);
      std::vector<R> p = product(a, a, n, n, n, false);
      for (std::size_t j = 0; j < p.size(); ++j) p[j] = R(-4.7750) * a[j] + R(2.0315) * p[j];
      const std::vector<R> y = product(p, x, n, n, m, false);
      for (std::size_t j = 0; j < x.size(); ++j) x[j] = R(3.4445) * x[j] + y[j];
    }
  }
  template <class R>
  Arrays<R> operator()(const Inputs& in, const Arrays<R>& a) const {
    const std::int64_t rows = in.dim(0, 0), columns = in.dim(0, 1);
    const auto mu = static_cast<double>(momentum), rate = static_cast<double>(lr);
    Arrays<R> out{a[0], a[2]};
    std::vector<R> x(a[0].size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const R fresh = R(1 - mu) * a[1][i];
      out[1][i] = R(mu) * out[1][i] + fresh;
      x[i] = nesterov ? R(mu) * out[1][i] + fresh : out[1][i];
    }
    const bool tall = rows > columns;
    if (tall) x = transpose(x, rows, columns);
    newton_schulz(x, std::min(rows, columns), std::max(rows, columns));
    if (tall) x = transpose(x, columns, rows);
    const double scale =
        std::sqrt(std::max(1.0, static_cast<double>(rows) / static_cast<double>(columns)));
    for (std::size_t i = 0; i < x.size(); ++i) {
      out[0][i] = R(1 - rate * static_cast<double>(decay)) * a[0][i] - R(rate * scale) * x[i];
    }
    return out;
  }
};

}  // namespace belay::test
