#include "cli/chat_input.h"

#include <histedit.h>

#include <clocale>
#include <cstdio>

namespace belay::cli {
namespace {

constexpr std::size_t kMostBytes = std::size_t{16} << 20;  // of one message

class PipeInput final : public ChatInput {
 public:
  End read(std::string& line) override {
    line.clear();
    for (int c; (c = std::getc(stdin)) != EOF;) {
      if (c == '\n' && !line.ends_with('\\')) return End::kLine;
      if (c == '\n') line.pop_back();
      if (line.size() < kMostBytes) line += static_cast<char>(c);
    }
    return line.empty() ? End::kClosed : End::kLine;
  }
};

class EditedInput final : public ChatInput {
 public:
  EditedInput() {
    // libedit reads and shows UTF-8 by the locale; nothing else here asks for one.
    if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) {
      std::setlocale(LC_CTYPE, "C.UTF-8");
    }
    editor_ = el_init("belay", stdin, stdout, stderr);
    history_ = history_init();
    HistEvent event;
    history(history_, &event, H_SETSIZE, 1000);
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, prompt);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    // Ctrl-C comes as a key and not as a signal, so that it can end the line.
    el_set(editor_, EL_SETTY, "-d", "-isig", nullptr);
    el_set(editor_, EL_ADDFN, "cancel-line", "Give the line up", cancel);
    el_set(editor_, EL_BIND, "^C", "cancel-line", nullptr);
  }

  ~EditedInput() override {
    history_end(history_);
    el_end(editor_);
  }

  End read(std::string& line) override {
    line.clear();
    for (goes_on_ = false;; goes_on_ = true) {
      cancelled_ = false;
      int size = 0;
      const char* const typed = el_gets(editor_, &size);
      if (cancelled_) return End::kInterrupted;
      if (typed == nullptr || size <= 0) return line.empty() ? End::kClosed : End::kLine;
      std::string_view part(typed, static_cast<std::size_t>(size));
      if (part.ends_with('\n')) part.remove_suffix(1);
      if (!part.empty()) {
        HistEvent event;
        history(history_, &event, H_ENTER, std::string(part).c_str());
      }
      line += part;
      if (!line.ends_with('\\')) return End::kLine;
      line.back() = '\n';
    }
  }

  void prefill(std::string_view text) override {
    std::string keys;
    for (const char c : text) {
      if (c == '\n') keys += "\\\n";  // as it was typed
      if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) keys += c;
    }
    el_push(editor_, keys.c_str());
  }

 private:
  static EditedInput& self(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<EditedInput*>(data);
  }
  static char* prompt(EditLine* editor) {
    static char first[] = "> ", further[] = ". ";
    return self(editor).goes_on_ ? further : first;
  }
  static unsigned char cancel(EditLine* editor, int) {
    self(editor).cancelled_ = true;
    return CC_EOF;
  }

  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  bool cancelled_ = false, goes_on_ = false;
};

}  // namespace

std::unique_ptr<ChatInput> ChatInput::open(bool editing) {
  if (editing) return std::make_unique<EditedInput>();
  return std::make_unique<PipeInput>();
}

}  // namespace belay::cli
