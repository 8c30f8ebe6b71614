// Where the tests' data lie.
#pragma once

#include <string>

namespace belay::test {

inline std::string data(const std::string& name) {
  return std::string(BELAY_TEST_DATA) + "/" + name;
}

/// A tiny trained model of Llama's shape, with its tokenizer and an oracle's answers.
inline const std::string kStories = data("stories260K");

}  // namespace belay::test
