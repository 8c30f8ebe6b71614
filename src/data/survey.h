// The first of two readings, where what becomes of a document depends on others: near-duplicates
// are found and the tokens of each source counted. Nothing is written.
#pragma once

#include "base/status.h"
#include "data/preparation.h"

namespace belay::data {

/// Decides all in preparation's selection and mixture.
base::Status survey(Preparation& preparation);

}  // namespace belay::data
