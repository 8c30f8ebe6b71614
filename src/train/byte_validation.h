// Bits per byte of a text under a byte-level model, every byte counted once: windows of the model's
// context that overlap by half, so that all but the first bytes are predicted from at least half a
// context. The first byte of all counts as 8 bits.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "model/model.h"

namespace belay::train {

struct ByteValidation {
  double nats_per_byte = 0;
  double bits_per_byte() const;
};

/// context: at least 2, at most model.max_positions(). Empty text: 0.
base::Result<ByteValidation> validate_bytes(base::Context& ctx, base::Env& env,
                                            const model::Model& model, std::string_view text,
                                            std::int64_t context);

}  // namespace belay::train
