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
    is_core_ = true;
    return begin({{{"execute", "dump-guest-memory"},
                   {"id", last_step},
                   {"arguments", {{"paging", true}, {"protocol", "file:" + path}}}}});
  }

  /// The same with the whole machine, for one that is started with resume_option(). QEMU 7.2 writes it to a shell's command, and
  /// stops the guest itself: one that was stopped before would be stopped where it goes on.
  [[nodiscard]] std::expected<int, runner_error> begin_snapshot(std::string const& path) {
    is_core_ = false;
    is_migrating_ = true;
    return begin({{{"execute", "migrate-set-capabilities"},
                   {"arguments", {{"capabilities", {{{"capability", "events"}, {"state", true}}}}}}},
                  {{"execute", "migrate"}, {"id", migration}, {"arguments", {{"uri", "exec:cat > " + quoted(path)}}}}});
  }
  [[nodiscard]] static std::string resume_option(std::string const& path) { return "exec:cat " + quoted(path); }

  /// Nothing while it is not known yet. Lines that answer something else are passed over.
  [[nodiscard]] std::optional<std::expected<void, runner_error>> written() {
    hear();
    if (std::exchange(is_done_, false)) {
      if (!failure_) return is_core_ ? core_file::complete(path_, image_) : std::expected<void, runner_error>();
      return std::unexpected(
          runner_error{(is_core_ ? "the emulator wrote no core: " : "the emulator wrote no snapshot: ") + *failure_});
    }
    if (is_gone_) return std::unexpected(runner_error{"the emulator ended before the file was written"});
    return std::nullopt;
  }

  /// Waits until a guest that was started with resume_option() runs: what comes for it before is lost. Ten seconds at most.
  void await_resumed() {
    send({{"execute", "query-status"}, {"id", status_question}});
    for (pollfd news{socket_, POLLIN, 0}; !has_resumed_ && !is_gone_ && ::poll(&news, 1, resume_ms_max) > 0;) hear();
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
  static constexpr char const* migration = "migration";
  static constexpr char const* status_question = "status";
  static constexpr int resume_ms_max = 10'000;
  static constexpr std::size_t said_bytes_max = 1u << 20;

  std::expected<int, runner_error> begin(std::vector<nlohmann::json> const& steps) {
    failure_.reset();
    is_done_ = false;
    for (auto const& one : steps) {
      if (!send(one)) return std::unexpected(runner_error{"the emulator takes no commands"});
    }
    return socket_;
  }

  /// A word for the shell.
  static std::string quoted(std::string_view text) {
    std::string out = "'";
    for (auto const c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
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
    if (detail::text_member(line, "event") == "RESUME") has_resumed_ = true;
    if (detail::text_member(line, "event") == "MIGRATION") {
      auto const status = detail::text_member(line.value("data", nlohmann::json::object()), "status");
      if (status == "failed") end_migration("the file could not be written whole");
      if (status == "completed") end_migration(std::nullopt);
    }
    auto const answered = detail::text_member(line, "id");
    auto const wrong = line.find("error");
    auto const why = wrong == line.end() ? std::nullopt : std::optional(detail::text_member(*wrong, "desc"));
    if (answered == status_question && line.contains("return"))
      has_resumed_ = has_resumed_ || detail::flag_member(line["return"], "running");
    if (answered == migration && why) end_migration(why);
    if (answered != last_step) return;
    is_done_ = true;
    if (why) failure_ = why;
  }

  /// The guest goes on, whatever became of the file.
  void end_migration(std::optional<std::string> const& failure) {
    if (!std::exchange(is_migrating_, false)) return;
    failure_ = failure;
    send({{"execute", "cont"}, {"id", last_step}});
  }

  int socket_ = -1;
  std::string said_, path_, image_;
  std::optional<std::string> failure_;
  bool is_core_ = true, is_migrating_ = false, has_resumed_ = false, is_done_ = false, is_gone_ = false, has_shut_down_ = false;
};

}  // namespace morgana::plugin
