// Runs the real program, for tests.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <sstream>
#include <string>

#include "base/hash.h"
#include "fault_env.h"

namespace belay::test {

inline std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// A command line for bash; its exit code.
inline int shell(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

/// The program that was built beside these tests.
inline std::string belay_program() {
  return std::filesystem::read_symlink("/proc/self/exe").replace_filename("belay").string();
}

/// Runs `belay ARGS` through the shell.
inline Outcome belay(const std::string& args) {
  const TempDir dir;
  const std::string out = dir.file("out"), err = dir.file("err");
  const int code = shell(belay_program() + " " + args + " >" + out + " 2>" + err + " </dev/null");
  return {code, read(out), read(err)};
}

/// A checksum of the weights that a run has saved.
inline std::uint64_t weights_of(const std::string& run) {
  const std::string weights = read(run + "/model/model.safetensors");
  return base::xxh3_64(std::as_bytes(std::span(weights)));
}

}  // namespace belay::test
