#include "base/memory_info.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "base/env.h"

namespace belay::base {
namespace {

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream in(path);
  std::uint64_t value = 0;
  if (!(in >> value)) return std::nullopt;  // missing, or "max"
  return value;
}

/// The value after a key in a file of "key value" lines.
std::uint64_t read_field(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  std::string name, rest;
  std::uint64_t value = 0;
  while (in >> name >> value) {
    if (name == key) return value;
    std::getline(in, rest);
  }
  return 0;
}

void apply_limit(const std::string& dir, const std::string& limit_file,
                 const std::string& usage_file, const std::string& cache_key, MemoryInfo& info) {
  const auto limit = read_number(join_path(dir, limit_file));
  const auto usage = read_number(join_path(dir, usage_file));
  if (!limit || !usage || *limit >= info.total) return;
  info.total = *limit;
  // Pages of files that were read but are no longer active go first when memory is short.
  const std::uint64_t cache = read_field(join_path(dir, "memory.stat"), cache_key);
  const std::uint64_t held = *usage - std::min(*usage, cache);
  info.available = std::min(info.available, *limit - std::min(*limit, held));
}

/// Calls visit(dir) for the group of this process and all groups above it, as far as they are
/// visible.
template <class Visit>
void for_each_group(const std::string& mount, std::string group, const Visit& visit) {
  while (true) {
    visit(mount + group);
    if (group.empty() || group == "/") return;
    group = group.substr(0, group.find_last_of('/'));
  }
}

}  // namespace

MemoryInfo memory_info() {
  MemoryInfo info;
  info.total = read_field("/proc/meminfo", "MemTotal:") * 1024;
  info.available = read_field("/proc/meminfo", "MemAvailable:") * 1024;
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {  // "0::/path" or "9:memory:/path"
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      for_each_group("/sys/fs/cgroup", group, [&](const std::string& dir) {
        apply_limit(dir, "memory.max", "memory.current", "inactive_file", info);
      });
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      for_each_group("/sys/fs/cgroup/memory", group, [&](const std::string& dir) {
        apply_limit(dir, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                    info);
      });
    }
  }
  return info;
}

}  // namespace belay::base
