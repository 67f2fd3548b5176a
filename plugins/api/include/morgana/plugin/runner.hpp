// Helps to write a runner: the program a target plugin names to run its guests. This header is the
// conversation with the driver (machine_protocol.hpp); process_runner.hpp is a whole runner for guests that
// are processes of this host (a hosted guest, an emulator).
//
// Header-only; needs nlohmann-json. Nothing here throws, blocks or starts a thread: the runner owns its poll
// loop and asks the connection what to wait for. Memory is bounded: at most `outgoing_bytes_max` wait to be
// sent (has_room() says when to stop reading the guest's console), and one frame is held while it arrives.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <expected>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "morgana/plugin/machine_protocol.hpp"

namespace morgana::plugin {

/// What went wrong and what to do about it, for the driver's user.
struct runner_error {
  std::string message;
  std::vector<std::string> help = {};
};

struct guest_network {
  std::string name = {};  ///< empty: for the guest's one interface
  int descriptor = -1;  ///< -1: use `tap`
  std::string tap = {};
  std::string host_address = {};  ///< without a `tap`: make one, with this address on the host's side
  bool is_user = false;  ///< a network of the runner's own, 10.0.0.0/24, behind address translation
  std::vector<std::pair<std::uint16_t, std::uint16_t>> forwards = {};  ///< TCP: of 127.0.0.1, of the guest
  std::string mac = {};
  std::uint32_t mtu = 1500;
  bool vnet_header = false;
};

struct guest_disk {
  std::string name = {};
  std::string path = {};
  bool read_only = false;
  std::uint32_t sector_bytes = 512;
};

/// The driver's `start`.
struct start_request {
  std::string image = {};
  std::string name = {};
  std::vector<std::string> arguments = {};
  std::map<std::string, std::string> environment = {};
  std::map<std::string, std::string> settings = {};  ///< of the target; from drivers that send them
  std::uint64_t memory_bytes = 0;  ///< 0: no limit was asked for
  std::vector<guest_network> networks = {};
  std::vector<guest_disk> disks = {};
  std::optional<std::string> snapshot = {};  ///< a file to resume from
  std::optional<std::string> crash_core = {};  ///< a file for the core of a guest that crashes
};

/// How the guest ended, as the driver will see it.
struct guest_exit {
  int status = 0;
  machine_protocol::exit_reason reason = machine_protocol::exit_reason::finished;
  std::optional<int> signal = std::nullopt;
  std::string report = {};
};

namespace detail {

inline std::string text_member(nlohmann::json const& object, char const* name) {
  auto const found = object.find(name);
  return found != object.end() && found->is_string() ? *found->get_ptr<std::string const*>() : std::string();
}

inline std::uint64_t number_member(nlohmann::json const& object, char const* name, std::uint64_t otherwise) {
  auto const found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : otherwise;
}

inline bool flag_member(nlohmann::json const& object, char const* name) {
  auto const found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

inline bool is_port_pair(nlohmann::json const& value) {
  auto const is_port = [](nlohmann::json const& one) {
    return one.is_number_unsigned() && one.get<std::uint64_t>() >= 1 && one.get<std::uint64_t>() <= 65535;
  };
  return value.is_array() && value.size() == 2 && is_port(value[0]) && is_port(value[1]);
}

/// JSON text that never fails: bytes that are not UTF-8 become U+FFFD.
inline std::string json_text(nlohmann::json const& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace detail

/// Reads a start message. The error says which member is wrong.
[[nodiscard]] inline std::expected<start_request, runner_error> parse_start(nlohmann::json const& message) {
  using namespace detail;
  auto wrong = [](std::string what) { return std::unexpected(runner_error{"start: " + std::move(what)}); };
  start_request out;
  out.image = text_member(message, "image");
  if (out.image.empty()) return wrong("`image` is missing");
  out.name = text_member(message, "name");
  out.memory_bytes = number_member(message, "memory_bytes", 0);
  if (auto const found = message.find("arguments"); found != message.end()) {
    if (!found->is_array()) return wrong("`arguments` is not a list");
    for (auto const& argument : *found) {
      if (!argument.is_string()) return wrong("`arguments` holds something that is not text");
      out.arguments.push_back(*argument.get_ptr<std::string const*>());
    }
  }
  if (auto const found = message.find("environment"); found != message.end()) {
    if (!found->is_object()) return wrong("`environment` is not a table");
    for (auto const& [name, value] : found->items()) {
      if (!value.is_string()) return wrong("`environment." + name + "` is not text");
      out.environment.emplace(name, *value.get_ptr<std::string const*>());
    }
  }
  if (auto const found = message.find("settings"); found != message.end() && found->is_object()) {
    for (auto const& [name, value] : found->items()) {
      if (!value.is_string()) return wrong("`settings." + name + "` is not text");
      out.settings.emplace(name, *value.get_ptr<std::string const*>());
    }
  }
  if (auto const found = message.find("networks"); found != message.end() && found->is_array()) {
    for (auto const& one : *found) {
      if (!one.is_object()) return wrong("`networks` holds something that is not a table");
      guest_network network{.name = text_member(one, "name"),
                            .tap = text_member(one, "tap"),
                            .host_address = text_member(one, "host_address"),
                            .mac = text_member(one, "mac"),
                            .mtu = static_cast<std::uint32_t>(number_member(one, "mtu", 1500)),
                            .vnet_header = flag_member(one, "vnet_header")};
      auto const descriptor = number_member(one, "descriptor", UINT64_MAX);
      if (descriptor <= INT32_MAX) network.descriptor = static_cast<int>(descriptor);
      network.is_user = flag_member(one, "user");
      if (auto const ports = one.find("forwards"); ports != one.end() && ports->is_array()) {
        for (auto const& pair : *ports) {
          if (!is_port_pair(pair)) return wrong("`forwards` of network `" + network.name + "` holds no pair of ports");
          network.forwards.emplace_back(pair[0].get<std::uint16_t>(), pair[1].get<std::uint16_t>());
        }
      }
      if (network.descriptor < 0 && network.tap.empty() && network.host_address.empty() && !network.is_user) {
        return wrong("network `" + network.name + "` has neither a descriptor nor a tap interface, and is none of the runner's own");
      }
      out.networks.push_back(std::move(network));
    }
  }
  if (auto const found = message.find("disks"); found != message.end() && found->is_array()) {
    for (auto const& one : *found) {
      if (!one.is_object()) return wrong("`disks` holds something that is not a table");
      guest_disk disk{.name = text_member(one, "name"),
                      .path = text_member(one, "path"),
                      .read_only = flag_member(one, "read_only"),
                      .sector_bytes = static_cast<std::uint32_t>(number_member(one, "sector_bytes", 512))};
      if (disk.name.empty() || disk.path.empty()) return wrong("a disk has no name or no path");
      out.disks.push_back(std::move(disk));
    }
  }
  if (auto path = text_member(message, "snapshot"); !path.empty()) out.snapshot = std::move(path);
  if (auto path = text_member(message, "crash_core"); !path.empty()) out.crash_core = std::move(path);
  return out;
}

/// The socket to the driver.
class runner_connection {
 public:
  /// Beyond this many bytes waiting to be sent, has_room() is false. One message more always fits.
  static constexpr std::size_t outgoing_bytes_max = 256u * 1024u;

  /// Takes the socket that the driver named in the environment. The error says how to start a runner.
  [[nodiscard]] static std::expected<runner_connection, runner_error> from_environment() {
    auto const* text = std::getenv(machine_protocol::socket_variable);
    int number = -1;
    if (text != nullptr) {
      std::string_view const view(text);
      auto const [end, error] = std::from_chars(view.data(), view.data() + view.size(), number);
      if (error != std::errc() || end != view.data() + view.size()) number = -1;
    }
    int type = 0;
    socklen_t size = sizeof type;
    if (number < 0 || ::getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
      return std::unexpected(runner_error{
          std::string(machine_protocol::socket_variable) + " does not name an open stream socket",
          {"a runner is started by the driver: morgana run"}});
    }
    return runner_connection(number);
  }

  explicit runner_connection(int socket) : socket_(socket) {}
  runner_connection(runner_connection&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)),
        closed_(other.closed_),
        outgoing_(std::move(other.outgoing_)),
        sent_(other.sent_),
        incoming_(std::move(other.incoming_)) {}
  runner_connection& operator=(runner_connection&&) = delete;
  ~runner_connection() {
    if (socket_ >= 0) ::close(socket_);
  }

  /// For poll(): wait for events() on descriptor(), then call serve().
  [[nodiscard]] int descriptor() const { return socket_; }
  [[nodiscard]] short events() const {
    return static_cast<short>(waiting_bytes() != 0 ? POLLIN | POLLOUT : POLLIN);
  }

  /// Receives and sends what is possible without waiting.
  void serve() {
    receive();
    flush();
  }

  /// The driver closed the socket, or spoke something else than the protocol: kill the guest and end.
  [[nodiscard]] bool closed() const { return closed_; }

  /// False while more than outgoing_bytes_max wait: read nothing from the guest until it is true again.
  [[nodiscard]] bool has_room() const { return waiting_bytes() < outgoing_bytes_max; }
  [[nodiscard]] bool flushed() const { return waiting_bytes() == 0; }

  /// The next message from the driver: an object with a text member "type".
  [[nodiscard]] std::optional<nlohmann::json> next() {
    auto frame = incoming_.next();
    if (incoming_.broken()) closed_ = true;
    if (!frame) return std::nullopt;
    auto message = nlohmann::json::parse(*frame, nullptr, false);
    if (message.is_discarded() || !message.is_object() || detail::text_member(message, "type").empty()) {
      closed_ = true;
      return std::nullopt;
    }
    return message;
  }

  void send(nlohmann::json const& message) {
    if (closed_) return;
    if (sent_ > outgoing_.size() / 2) {
      outgoing_.erase(0, sent_);
      sent_ = 0;
    }
    outgoing_.append(machine_protocol::frame(detail::json_text(message)));
    flush();
  }

  void send_hello(std::vector<std::string> const& capabilities) {
    send({{"type", "hello"},
          {"version", {machine_protocol::version_major, machine_protocol::version_minor}},
          {"capabilities", capabilities}});
  }
  /// `capabilities`: of this guest, when they are fewer than hello's.
  void send_started(std::optional<std::vector<std::string>> const& capabilities = {}) {
    nlohmann::json message{{"type", "started"}};
    if (capabilities) message["capabilities"] = *capabilities;
    send(message);
  }
  void send_console(std::string_view bytes) {
    send({{"type", "console"}, {"data", machine_protocol::base64_encode(bytes)}});
  }
  void send_error(runner_error const& error, bool fatal) {
    send({{"type", "error"}, {"message", error.message}, {"help", error.help}, {"fatal", fatal}});
  }
  void send_exit(guest_exit const& exit) {
    nlohmann::json message{
        {"type", "exit"}, {"status", exit.status}, {"reason", machine_protocol::to_string(exit.reason)}};
    if (exit.signal) message["signal"] = *exit.signal;
    if (!exit.report.empty()) message["report"] = exit.report;
    send(message);
  }

  /// Sends the rest, waiting until it is gone or the driver is: the last thing a runner does.
  void drain() {
    while (!closed_ && waiting_bytes() != 0) {
      pollfd wait{socket_, events(), 0};
      if (::poll(&wait, 1, -1) < 0 && errno != EINTR) return;
      serve();
      while (next()) {
      }
    }
  }

 private:
  [[nodiscard]] std::size_t waiting_bytes() const { return outgoing_.size() - sent_; }

  void receive() {
    char buffer[64 * 1024];
    auto const count = ::recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count > 0) {
      incoming_.feed(std::string_view(buffer, static_cast<std::size_t>(count)));
    } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
      closed_ = true;
    }
  }

  void flush() {
    while (!closed_ && waiting_bytes() != 0) {
      auto const count =
          ::send(socket_, outgoing_.data() + sent_, waiting_bytes(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) closed_ = true;
        return;
      }
      sent_ += static_cast<std::size_t>(count);
    }
    if (waiting_bytes() == 0) {
      outgoing_.clear();
      sent_ = 0;
    }
  }

  int socket_;
  bool closed_ = false;
  std::string outgoing_;
  std::size_t sent_ = 0;
  machine_protocol::frame_reader incoming_;
};

/// Finds the crash report in a console stream that comes in pieces, and keeps the last one, at most
/// crash_report_bytes_max of it.
class report_collector {
 public:
  void feed(std::string_view bytes) {
    for (auto const c : bytes) {
      if (c != '\n') {
        if (line_.size() <= line_bytes_max) line_.push_back(c);
        continue;
      }
      end_line();
    }
  }

  /// What was collected, an unfinished report included.
  [[nodiscard]] std::string report() const {
    if (!inside_ || line_.empty() ||
        report_.size() + line_.size() > machine_protocol::crash_report_bytes_max) {
      return report_;
    }
    return report_ + line_;
  }

 private:
  static constexpr std::size_t line_bytes_max = 4096;

  void end_line() {
    std::string_view line = line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line == machine_protocol::crash_report_begin) {
      inside_ = true;
      report_.clear();
    } else if (line == machine_protocol::crash_report_end) {
      inside_ = false;
    } else if (inside_ && report_.size() + line.size() < machine_protocol::crash_report_bytes_max) {
      report_.append(line);
      report_.push_back('\n');
    }
    line_.clear();
  }

  std::string line_, report_;
  bool inside_ = false;
};

}  // namespace morgana::plugin
