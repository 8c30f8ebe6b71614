// A machine in memory whose power can fail: files and folders as the system shows them, and beside
// them what would survive. File content survives a sync of the file; names (creations, renames,
// removals) survive a sync of their folder. Changes to the disk are counted; the n-th fails once,
// or the machine stops there and every later change fails. crash() then leaves what a disk may
// hold.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/env_wrapper.h"

namespace belay::test {

class CrashEnv : public base::EnvWrapper {
 public:
  /// What a crash does to changes that were not synced.
  enum class Unsynced {
    kLost,           // all of them vanish
    kKept,           // all of them stay: the process was killed, the machine was not
    kNamesOnlyKept,  // names reached the disk before the content that they name
  };
  enum class Fault { kFailOnce, kStop };

  CrashEnv() : EnvWrapper(base::Env::posix()) {}

  std::int64_t fault_at = INT64_MAX;  // index of the change that meets the fault
  Fault fault = Fault::kFailOnce;
  std::int64_t changes = 0;  // changes asked for so far

  /// Power fails and comes back: no fault is due any more.
  void crash(Unsynced unsynced) {
    if (unsynced == Unsynced::kLost) files_ = durable_;
    for (auto& [path, file] : files_) {
      if (unsynced != Unsynced::kKept) file->content = file->synced;
    }
    durable_ = files_;
    for (auto& [path, file] : files_) file->synced = file->content;
    fault_at = INT64_MAX;
  }

  base::Result<std::string> read_file(const std::string& path, std::uint64_t) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return missing(path);
    return found->second->content;
  }
  base::Result<base::MappedFile> map_file(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return missing(path);
    const auto bytes = std::as_bytes(std::span(found->second->content));
    return base::MappedFile(std::vector<std::byte>(bytes.begin(), bytes.end()));
  }
  base::Result<std::uint64_t> file_size(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return missing(path);
    return found->second->content.size();
  }
  bool exists(const std::string& path) override {
    return files_.contains(path) || folders_.contains(path);
  }
  bool is_directory(const std::string& path) override { return folders_.contains(path); }
  base::Result<std::vector<std::string>> list_dir(const std::string& path) override {
    std::vector<std::string> names;
    for (const auto& [file, content] : files_) {
      if (base::parent_dir(file) == path) names.push_back(base::base_name(file));
    }
    return names;
  }
  base::Status create_dirs(const std::string& path) override {
    for (std::string part = path; part != "." && part != "/"; part = base::parent_dir(part)) {
      folders_.insert(part);
    }
    return {};
  }
  base::Result<std::unique_ptr<base::WritableFile>> create_file(const std::string& path) override {
    BELAY_RETURN_IF_ERROR(step(path));
    if (exists(path)) return base::io_error({.where = path, .what = "exists"});
    return open(path);
  }
  base::Result<std::unique_ptr<base::WritableFile>> append_file(const std::string& path) override {
    BELAY_RETURN_IF_ERROR(step(path));
    return open(path);
  }
  base::Status rename_file(const std::string& from, const std::string& to) override {
    BELAY_RETURN_IF_ERROR(step(from));
    if (!files_.contains(from)) return missing(from);
    files_[to] = files_[from];
    files_.erase(from);
    return {};
  }
  base::Status remove_file(const std::string& path) override {
    BELAY_RETURN_IF_ERROR(step(path));
    if (files_.erase(path) == 0) return missing(path);
    return {};
  }
  base::Status sync_dir(const std::string& path) override {
    BELAY_RETURN_IF_ERROR(step(path));
    std::erase_if(durable_, [&](const auto& f) { return base::parent_dir(f.first) == path; });
    for (const auto& [file, content] : files_) {
      if (base::parent_dir(file) == path) durable_[file] = content;
    }
    return {};
  }
  base::Result<std::unique_ptr<base::FileLock>> lock_file(const std::string&) override {
    return std::make_unique<base::FileLock>();
  }

 private:
  struct Content {
    std::string content, synced;
  };
  using Files = std::map<std::string, std::shared_ptr<Content>>;

  class File : public base::WritableFile {
   public:
    File(CrashEnv& env, std::string path, std::shared_ptr<Content> content)
        : env_(env), path_(std::move(path)), content_(std::move(content)) {}
    base::Status write(std::span<const std::byte> bytes) override {
      const base::Status written = env_.step(path_);
      if (!written.ok()) bytes = bytes.first(bytes.size() / 2);  // a disk fills up in the middle
      content_->content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return written;
    }
    base::Status sync() override {
      BELAY_RETURN_IF_ERROR(env_.step(path_));
      content_->synced = content_->content;
      return {};
    }
    base::Status close() override { return env_.step(path_); }

   private:
    CrashEnv& env_;
    std::string path_;
    std::shared_ptr<Content> content_;
  };

  base::Result<std::unique_ptr<base::WritableFile>> open(const std::string& path) {
    auto& content = files_[path];
    if (!content) content = std::make_shared<Content>();
    return std::unique_ptr<base::WritableFile>(std::make_unique<File>(*this, path, content));
  }
  base::Status step(const std::string& path) {
    const std::int64_t index = changes++;
    const bool faulty = fault == Fault::kStop ? index >= fault_at : index == fault_at;
    if (!faulty) return {};
    return base::io_error({.where = path, .what = "fails (injected)"});
  }
  static base::Status missing(const std::string& path) {
    return base::not_found({.where = path, .what = "does not exist"});
  }

  Files files_, durable_;
  std::set<std::string> folders_;
};

}  // namespace belay::test
