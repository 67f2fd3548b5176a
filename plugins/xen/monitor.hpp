// QEMU's monitor (QMP, docs/interop/qmp-spec of QEMU), as far as a runner needs it: the guest's memory as a core file, the whole
// machine as a file that another one resumes from, and news of a machine that stands still after its guest's end.
#pragma once

#include "core_file.hpp"
#include "morgana/plugin/runner.hpp"

namespace morgana::plugin {

class monitor {
 public:
  monitor() = default;
  monitor(monitor const&) = delete;
  monitor& operator=(monitor const&) = delete;
  ~monitor() {
    if (socket_ >= 0) ::close(socket_);
  }

  /// A stream socket whose other end the emulator has, and the guest's image.
  void open(int socket, std::string image) {
    socket_ = socket;
    image_ = std::move(image);
    send({{"execute", "qmp_capabilities"}});
  }
  [[nodiscard]] bool is_open() const { return socket_ >= 0; }
  /// Readable when there is something to hear.
  [[nodiscard]] int descriptor() const { return socket_; }

  /// The guest stands still until it is written, which written() tells.
  [[nodiscard]] std::expected<int, runner_error> begin_core(std::string const& path) {
    path_ = path;
    return begin({{{"execute", "dump-guest-memory"},
                   {"id", last_step},
                   {"arguments", {{"paging", true}, {"protocol", "file:" + path}}}}});
  }

  /// Nothing while it is not known yet. Lines that answer something else are passed over.
  [[nodiscard]] std::optional<std::expected<void, runner_error>> written() {
    hear();
    if (auto failure = std::exchange(failure_, std::nullopt)) {
      is_done_ = false;
      return std::unexpected(runner_error{"the emulator wrote no core: " + *failure});
    }
    if (std::exchange(is_done_, false)) return core_file::complete(path_, image_);
    if (is_gone_) return std::unexpected(runner_error{"the emulator ended before the core was written"});
    return std::nullopt;
  }

  /// The guest has ended, and the machine waits for quit().
  [[nodiscard]] bool has_shut_down() {
    hear();
    return has_shut_down_;
  }
  [[nodiscard]] bool is_gone() const { return is_gone_; }
  void quit() { send({{"execute", "quit"}}); }

 private:
  static constexpr char const* last_step = "last";
  static constexpr std::size_t said_bytes_max = 1u << 20;

  std::expected<int, runner_error> begin(std::vector<nlohmann::json> const& steps) {
    failure_.reset();
    is_done_ = false;
    for (auto const& one : steps) {
      if (!send(one)) return std::unexpected(runner_error{"the emulator takes no commands"});
    }
    return socket_;
  }

  bool send(nlohmann::json const& command) {
    auto const text = detail::json_text(command) + '\n';
    return ::send(socket_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }

  void hear() {
    char piece[4096];
    ssize_t size = 0;
    while ((size = ::recv(socket_, piece, sizeof piece, MSG_DONTWAIT)) > 0) {
      said_.append(piece, static_cast<std::size_t>(size));
      for (std::size_t end = 0; (end = said_.find('\n')) != std::string::npos; said_.erase(0, end + 1)) {
        take(nlohmann::json::parse(said_.substr(0, end), nullptr, false));
      }
      if (said_.size() > said_bytes_max) break;
    }
    is_gone_ = size > 0 || size == 0 || (errno != EAGAIN && errno != EINTR);
  }

  void take(nlohmann::json const& line) {
    if (!line.is_object()) return;
    if (detail::text_member(line, "event") == "SHUTDOWN") has_shut_down_ = true;
    if (detail::text_member(line, "id") != last_step) return;
    auto const wrong = line.find("error");
    if (wrong == line.end()) {
      is_done_ = true;
    } else {
      failure_ = detail::text_member(*wrong, "desc");
    }
  }

  int socket_ = -1;
  std::string said_, path_, image_;
  std::optional<std::string> failure_;
  bool is_done_ = false, is_gone_ = false, has_shut_down_ = false;
};

}  // namespace morgana::plugin
