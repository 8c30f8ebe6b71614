// A folder of texts, and what data::prepare makes of it.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/prepare.h"
#include "fault_env.h"

namespace belay::data {
inline std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Every file of a folder.
inline std::map<std::string, std::string> content(const std::string& folder) {
  std::map<std::string, std::string> files;
  if (!std::filesystem::exists(folder)) return files;
  for (const std::string& name : *base::Env::posix().list_dir(folder)) {
    files[name] = read(base::join_path(folder, name));
  }
  return files;
}

inline std::vector<std::string> documents(const TokenStream& stream,
                                          const text::Tokenizer& tokenizer) {
  std::vector<std::string> texts;
  for (std::int64_t d = 0; d < stream.n_documents(); ++d) {
    const std::int64_t begin = stream.document_begin(d);
    std::vector<std::int32_t> ids(static_cast<std::size_t>(stream.document_begin(d + 1) - begin));
    stream.read(begin, ids);
    texts.push_back(tokenizer.decode(ids));
  }
  return texts;
}

class Prepare : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    const std::string path = dir_.file(name);
    std::filesystem::create_directories(base::parent_dir(path));
    std::ofstream(path, std::ios::binary) << text;
  }
  /// Names of inputs lie in the test's folder, the dataset in its folder "out".
  base::Result<DatasetManifest> prepare(std::vector<std::string> inputs, PrepareOptions o = {},
                                        int threads = 2,
                                        base::Env& env = base::Env::posix()) const {
    for (const std::string& name : inputs) o.inputs.push_back(dir_.file(name));
    for (std::string& name : o.valid_inputs) name = dir_.file(name);
    if (o.out.empty()) o.out = dir_.file("out");
    base::ThreadPool pool(threads);
    const std::atomic<bool> stop{false};
    return data::prepare(pool, env, tokenizer_, o, stop, [](const PrepareState&) {});
  }
  std::vector<std::string> texts(Split split, const std::string& out = "out") const {
    const auto dataset = Dataset::open(base::Env::posix(), dir_.file(out));
    EXPECT_TRUE(dataset.ok()) << dataset.status().message();
    return dataset.ok() ? documents(dataset->split(split), dataset->tokenizer())
                        : std::vector<std::string>{};
  }
  test::TempDir dir_;
  text::Tokenizer tokenizer_ = text::Tokenizer::bytes();
};

/// n documents, each different.
inline std::string many(int n, const std::string& word = "document") {
  std::string text;
  for (int i = 0; i < n; ++i) text += word + " " + std::to_string(i) + "\n<|endoftext|>\n";
  return text;
}

}  // namespace belay::data
