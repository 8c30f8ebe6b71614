// The real program, run through the shell, and files.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "fault_env.h"

namespace belay::testing {

inline std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

/// Runs `belay ARGS`.
inline Outcome belay(const std::string& args) {
  const TempDir dir;
  const std::string out = dir.file("out"), err = dir.file("err");
  const std::string command =
      std::string(BELAY_PROGRAM) + " " + args + " >" + out + " 2>" + err + " </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(out), read(err)};
}

}  // namespace belay::testing
