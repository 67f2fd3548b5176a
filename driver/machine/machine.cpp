#include "morgana/driver/machine.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <limits>
#include <nlohmann/json.hpp>

#include "machine/messages.hpp"
#include "machine/runner_process.hpp"

namespace morgana::driver {
namespace {

/// What a runner printed, kept for the diagnostic when it fails.
constexpr std::size_t last_words_bytes_max = 4096;

/// How long after its socket closed a runner may still be running before that alone is its failure.
constexpr std::chrono::milliseconds ending_grace{1'000};

int wait_ms(machine::clock::time_point deadline) {
  auto const left = std::chrono::ceil<std::chrono::milliseconds>(deadline - machine::clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

class runner_machine final : public machine {
 public:
  runner_machine(std::string target_name, runner_process runner)
      : target_(std::move(target_name)), runner_(std::move(runner)) {
    poll_ = unique_descriptor(::epoll_create1(EPOLL_CLOEXEC));
    queued_ = unique_descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    for (auto const descriptor :
         {runner_.socket.get(), runner_.process.get(), runner_.words.get(), queued_.get()}) {
      epoll_event event{.events = EPOLLIN, .data = {.fd = descriptor}};
      ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, descriptor, &event);
    }
  }

  outcome<void> greet(clock::time_point deadline) {
    while (!hello_) {
      if (auto error = take_error()) return fail(std::move(*error));
      if (failure_) return over(*std::exchange(failure_, std::nullopt));
      if (clock::now() >= deadline) {
        return over(with_words(
            {.code = "runner-silent",
             .message = fmt::format("the runner of target `{}` did not say hello in time", target_),
             .help = {"a runner says hello before anything else, see machine_protocol.hpp"}}));
      }
      pump(deadline);
    }
    return {};
  }

  outcome<void> send(nlohmann::json const& message, clock::time_point deadline) {
    if (over_ || peer_closed_) return {};
    auto const text = messages::to_text(message);
    if (!text) return std::unexpected(text.error());
    auto const bytes = machine_protocol::frame(*text);
    std::string_view rest = bytes;
    while (!rest.empty()) {
      auto const count = ::send(runner_.socket.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count >= 0) {
        rest.remove_prefix(static_cast<std::size_t>(count));
        continue;
      }
      if (errno == EINTR) continue;
      // It has ended: next() tells how.
      if (errno != EAGAIN) return {};
      pollfd wait{runner_.socket.get(), POLLOUT, 0};
      if (::poll(&wait, 1, wait_ms(deadline)) == 0) {
        return over(with_words(
            {.code = "runner-silent",
             .message = fmt::format("the runner of target `{}` does not take commands", target_)}));
      }
    }
    return {};
  }

  outcome<std::optional<machine_event>> next(clock::time_point deadline) override {
    for (;;) {
      if (over_) return std::optional<machine_event>();
      if (!events_.empty()) {
        auto event = std::move(events_.front());
        events_.pop_front();
        over_ = std::holds_alternative<exit_event>(event);
        mark_queue();
        return std::optional<machine_event>(std::move(event));
      }
      if (failure_) return over(*std::exchange(failure_, std::nullopt));
      if (!pump(deadline)) return std::optional<machine_event>();
    }
  }

  int descriptor() const override { return poll_.get(); }
  std::vector<std::string> const& capabilities() const override { return capabilities_; }
  int runner() const override { return runner_.pid; }

  outcome<void> input(std::string_view bytes) override {
    if (auto lacking = require("input")) return fail(std::move(*lacking));
    // A frame holds 1 MiB of text; base64 needs four bytes for three.
    constexpr std::size_t piece_bytes_max = 512 * 1024;
    while (!bytes.empty()) {
      auto const piece = bytes.substr(0, piece_bytes_max);
      auto sent = command({{"type", "input"}, {"data", machine_protocol::base64_encode(piece)}});
      if (!sent) return sent;
      bytes.remove_prefix(piece.size());
    }
    return {};
  }
  outcome<void> end_input() override {
    if (auto lacking = require("input")) return fail(std::move(*lacking));
    return command({{"type", "input"}, {"data", ""}, {"end", true}});
  }
  outcome<void> stop() override { return command({{"type", "stop"}}); }
  outcome<void> kill() override { return command({{"type", "kill"}}); }
  outcome<void> pause() override {
    if (auto lacking = require("pause")) return fail(std::move(*lacking));
    return command({{"type", "pause"}});
  }
  outcome<void> resume() override {
    if (auto lacking = require("pause")) return fail(std::move(*lacking));
    return command({{"type", "resume"}});
  }
  outcome<void> snapshot(std::filesystem::path const& to) override {
    if (auto lacking = require("snapshot")) return fail(std::move(*lacking));
    return command({{"type", "snapshot"}, {"path", to.string()}});
  }
  outcome<void> core(std::filesystem::path const& to) override {
    if (auto lacking = require("core")) return fail(std::move(*lacking));
    return command({{"type", "core"}, {"path", to.string()}});
  }

 private:
  outcome<void> command(nlohmann::json const& message) {
    return send(message, clock::now() + command_timeout);
  }

  std::optional<diagnostic> require(std::string_view capability) const {
    if (std::ranges::find(capabilities_, capability) != capabilities_.end()) return std::nullopt;
    return diagnostic{.code = "not-supported",
                      .message = fmt::format("the runner of target `{}` cannot `{}`", target_, capability)};
  }

  /// Ends the machine with this failure: nothing more will come, the guest is killed.
  std::unexpected<diagnostics> over(diagnostic why) {
    over_ = true;
    if (runner_.pid > 0) ::kill(-runner_.pid, SIGKILL);
    return fail(std::move(why));
  }

  diagnostic with_words(diagnostic one) const {
    if (!words_.empty()) one.notes.push_back({.message = fmt::format("it printed: {}", words_)});
    return one;
  }

  void broken(std::string what) {
    failure_ = with_words(
        {.code = "runner-protocol",
         .message = fmt::format("the runner of target `{}` broke the protocol: {}", target_, what)});
  }

  /// Before hello the only event is a fatal error; it is the reason why there is no machine.
  std::optional<diagnostic> take_error() {
    if (events_.empty()) return std::nullopt;
    auto const* error = std::get_if<error_event>(&events_.front());
    over_ = true;
    if (error == nullptr) {
      return diagnostic{.code = "runner-protocol",
                        .message = fmt::format("the runner of target `{}` did not say hello first", target_)};
    }
    return diagnostic{.code = "runner-failed", .message = error->message, .help = error->help};
  }

  /// The eventfd makes descriptor() readable while events wait here and not in the socket.
  void mark_queue() {
    std::uint64_t count = 1;
    auto const waiting = !events_.empty() || failure_ || over_;
    [[maybe_unused]] auto const ignored =
        waiting ? ::write(queued_.get(), &count, sizeof count) : ::read(queued_.get(), &count, sizeof count);
  }

  /// Waits for something and takes it in; false when the deadline passed first.
  bool pump(clock::time_point deadline) {
    if (peer_closed_) {
      await_ending(deadline);
      return true;
    }
    epoll_event ready[4];
    auto const count = ::epoll_wait(poll_.get(), ready, 4, wait_ms(deadline));
    if (count == 0 || (count < 0 && errno != EINTR)) return false;
    bool ended = false;
    for (int i = 0; i < count; ++i) {
      if (ready[i].data.fd == runner_.words.get()) read_words();
      if (ready[i].data.fd == runner_.process.get()) ended = true;
    }
    // The socket is read in any case: what stands in it comes before the news of the runner's end.
    if (count > 0) read_socket(ended);
    mark_queue();
    return true;
  }

  void read_words() {
    char buffer[4096];
    auto const count = ::read(runner_.words.get(), buffer, sizeof buffer);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
      ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, runner_.words.get(), nullptr);
      return;
    }
    if (count < 0) return;
    words_.append(buffer, static_cast<std::size_t>(count));
    if (words_.size() > last_words_bytes_max) words_.erase(0, words_.size() - last_words_bytes_max);
  }

  void read_socket(bool ended) {
    char buffer[64 * 1024];
    auto const count = ::recv(runner_.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (count > 0) {
      frames_.feed(std::string_view(buffer, static_cast<std::size_t>(count)));
      take_frames();
    } else if (count == 0 || (errno != EAGAIN && errno != EINTR) || ended) {
      peer_closed_ = true;
    }
  }

  void take_frames() {
    while (!failure_ && !exit_seen_) {
      auto const frame = frames_.next();
      if (!frame) break;
      auto message = messages::parse(*frame);
      if (!message) return broken(message.error());
      if (auto* hello = std::get_if<messages::hello>(&*message)) {
        if (hello_) return broken("a second hello");
        if (hello->major != machine_protocol::version_major) {
          failure_ = diagnostic{
              .code = "runner-protocol",
              .message = fmt::format("the runner of target `{}` speaks version {}.{} of the machine "
                                     "protocol, this driver {}.{}",
                                     target_, hello->major, hello->minor, machine_protocol::version_major,
                                     machine_protocol::version_minor),
              .help = {"install a plugin and a driver of the same release"}};
          return;
        }
        hello_ = true;
        capabilities_ = std::move(hello->capabilities);
      } else if (auto* event = std::get_if<machine_event>(&*message)) {
        exit_seen_ = std::holds_alternative<exit_event>(*event);
        if (auto const* state = std::get_if<state_event>(event); state != nullptr && state->capabilities) {
          capabilities_ = *state->capabilities;
        }
        events_.push_back(std::move(*event));
      }
    }
    if (frames_.broken() && !exit_seen_) {
      broken(fmt::format("a frame longer than {} bytes", machine_protocol::frame_bytes_max));
    }
  }

  /// The socket is closed without an exit event: say how the runner itself ended.
  void await_ending(clock::time_point deadline) {
    pollfd wait{runner_.process.get(), POLLIN, 0};
    ::poll(&wait, 1, std::min(wait_ms(deadline), static_cast<int>(ending_grace.count())));
    read_words();
    auto ending = runner_.ending();
    if (ending.empty()) ending = "closed its socket";
    failure_ =
        with_words({.code = "runner-failed",
                    .message = fmt::format("the runner of target `{}` {} without saying how the guest ended",
                                           target_, ending)});
    mark_queue();
  }

  std::string target_;
  runner_process runner_;
  unique_descriptor poll_, queued_;
  machine_protocol::frame_reader frames_;
  std::deque<machine_event> events_;
  std::vector<std::string> capabilities_;
  std::optional<diagnostic> failure_;
  std::string words_;
  bool hello_ = false, exit_seen_ = false, peer_closed_ = false, over_ = false;
};

}  // namespace

outcome<std::unique_ptr<machine>> machine::start(target const& on, machine_configuration const& what,
                                                 clock::time_point deadline) {
  auto const message = messages::start(on, what);
  if (!message) return std::unexpected(message.error());
  auto const command = find_runner(on);
  if (!command) return std::unexpected(command.error());
  std::vector<int> inherited;
  for (auto const& network : what.networks) {
    if (network.descriptor >= 0) inherited.push_back(network.descriptor);
  }
  auto runner = spawn_runner(*command, inherited);
  if (!runner) return fail(std::move(runner));
  auto out = std::make_unique<runner_machine>(on.name, std::move(*runner));
  if (auto greeted = out->greet(deadline); !greeted) return fail(std::move(greeted));
  if (auto sent = out->send(*message, deadline); !sent) return fail(std::move(sent));
  return out;
}

}  // namespace morgana::driver
