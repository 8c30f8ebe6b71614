// An Env that passes every call on to another one: derive from it and override what should differ
// (faults, a file made of bytes in memory, a machine with less memory).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"

namespace belay::base {

class EnvWrapper : public Env {
 public:
  explicit EnvWrapper(Env& target) : target_(target) {}

  Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes) override {
    return target_.read_file(path, max_bytes);
  }
  Result<MappedFile> map_file(const std::string& path) override { return target_.map_file(path); }
  Result<std::uint64_t> file_size(const std::string& path) override {
    return target_.file_size(path);
  }
  bool exists(const std::string& path) override { return target_.exists(path); }
  bool is_directory(const std::string& path) override { return target_.is_directory(path); }
  Result<std::vector<std::string>> list_dir(const std::string& path) override {
    return target_.list_dir(path);
  }
  Status create_dirs(const std::string& path) override { return target_.create_dirs(path); }
  Result<std::unique_ptr<ReadableFile>> open_file(const std::string& path) override {
    return target_.open_file(path);
  }
  Result<std::unique_ptr<WritableFile>> create_file(const std::string& path) override {
    return target_.create_file(path);
  }
  Result<std::unique_ptr<WritableFile>> append_file(const std::string& path) override {
    return target_.append_file(path);
  }
  Status rename_file(const std::string& from, const std::string& to) override {
    return target_.rename_file(from, to);
  }
  Status remove_file(const std::string& path) override { return target_.remove_file(path); }
  Status sync_dir(const std::string& path) override { return target_.sync_dir(path); }
  Result<std::unique_ptr<FileLock>> lock_file(const std::string& path) override {
    return target_.lock_file(path);
  }
  double steady_seconds() override { return target_.steady_seconds(); }
  double wall_seconds() override { return target_.wall_seconds(); }
  double cpu_seconds() override { return target_.cpu_seconds(); }
  std::uint64_t rss_bytes() override { return target_.rss_bytes(); }
  std::uint64_t peak_rss_bytes() override { return target_.peak_rss_bytes(); }
  std::uint64_t total_memory_bytes() override { return target_.total_memory_bytes(); }
  std::uint64_t available_memory_bytes() override { return target_.available_memory_bytes(); }
  std::int64_t process_id() override { return target_.process_id(); }

 protected:
  Env& target() { return target_; }

 private:
  Env& target_;
};

}  // namespace belay::base
