// Test helpers around base::Env: a folder that goes away, and a machine that fails on command.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env_wrapper.h"

namespace belay::test {

inline base::Env& env() { return base::Env::posix(); }

/// A new empty folder, removed with all that is in it.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "belay_test_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return base::join_path(path_, name); }

 private:
  std::string path_;
};

/// Every file to be mapped is the same bytes.
class BytesEnv : public base::EnvWrapper {
 public:
  explicit BytesEnv(std::string_view bytes) : EnvWrapper(base::Env::posix()), bytes_(bytes) {}
  bool is_directory(const std::string&) override { return false; }
  base::Result<base::MappedFile> map_file(const std::string&) override {
    const auto bytes = std::as_bytes(std::span(bytes_));
    return base::MappedFile(std::vector<std::byte>(bytes.begin(), bytes.end()));
  }

 private:
  std::string_view bytes_;
};

/// The posix Env, whose changes to the disk are counted, and fail from the n-th on: what a full
/// disk does, and what a crash leaves behind.
class FaultEnv : public base::EnvWrapper {
 public:
  FaultEnv() : EnvWrapper(base::Env::posix()) {}

  std::int64_t fail_from = INT64_MAX;  // index of the first change that fails
  std::int64_t changes = 0;            // changes asked for so far
  std::uint64_t available_memory = UINT64_MAX;

  std::uint64_t available_memory_bytes() override { return available_memory; }
  base::Result<std::unique_ptr<base::WritableFile>> create_file(const std::string& path) override {
    BELAY_RETURN_IF_ERROR(step(path));
    BELAY_ASSIGN_OR_RETURN(auto file, target().create_file(path));
    return std::unique_ptr<base::WritableFile>(
        std::make_unique<FaultFile>(*this, path, std::move(file)));
  }
  base::Status rename_file(const std::string& from, const std::string& to) override {
    BELAY_RETURN_IF_ERROR(step(from));
    return target().rename_file(from, to);
  }
  base::Status remove_file(const std::string& path) override {
    BELAY_RETURN_IF_ERROR(step(path));
    return target().remove_file(path);
  }
  base::Status sync_dir(const std::string& path) override { return step(path); }

 private:
  class FaultFile : public base::WritableFile {
   public:
    FaultFile(FaultEnv& env, std::string path, std::unique_ptr<base::WritableFile> file)
        : env_(env), path_(std::move(path)), file_(std::move(file)) {}
    base::Status write(std::span<const std::byte> bytes) override {
      if (base::Status fault = env_.step(path_); !fault.ok()) {
        // A disk fills up in the middle of a write.
        BELAY_RETURN_IF_ERROR(file_->write(bytes.first(bytes.size() / 2)));
        return fault;
      }
      return file_->write(bytes);
    }
    base::Status sync() override { return env_.step(path_); }
    base::Status close() override {
      BELAY_RETURN_IF_ERROR(env_.step(path_));
      return file_->close();
    }

   private:
    FaultEnv& env_;
    std::string path_;
    std::unique_ptr<base::WritableFile> file_;
  };

  base::Status step(const std::string& path) {
    if (changes++ < fail_from) return {};
    return base::resource_exhausted({.where = path, .what = "no space is left (injected)"});
  }
};

/// A machine of which so much memory is free.
class SmallMachine : public base::EnvWrapper {
 public:
  explicit SmallMachine(std::uint64_t bytes) : EnvWrapper(env()), bytes_(bytes) {}
  std::uint64_t available_memory_bytes() override { return bytes_; }

 private:
  std::uint64_t bytes_;
};

}  // namespace belay::test
